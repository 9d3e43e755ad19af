// When events may take the next versions of their entities: once those versions are known here, and while no unit of work
// that is being committed has taken them. Owned by the host thread.
//
// Invariant: of those that want one entity, each acts in the turn in which it is the first of them, in the order in which they
// came; what is held comes first until it is released.
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import type { Heads } from './heads.ts';
import type { Draft } from './prepared.ts';

/** The version of an entity in the store; from then on it is this log's. @throws StoreUnavailable */
export type HeadLookUp = (type: string, id: string) => Promise<number>;

/** An entity that is wanted: of a draft, since events themselves are their owner's, who may change them while they wait. */
export type Wanted = Pick<Draft, 'aggregateType' | 'aggregateId' | 'dataJson'>;

/** A place in the queue of each of its entities. */
interface Claim {
  readonly keys: ReadonlySet<string>;
  /** In so many queues others are before it. */
  behind: number;
  /** Throws nothing: what it throws would keep the turns of others from coming. */
  run(): void;
  fail(error: unknown): void;
}

export interface EntityTurnsSettings {
  readonly heads: Heads;
  /** Set where the store is on another machine, which may know entities that this process does not. */
  readonly lookUp: HeadLookUp | undefined;
  /** So many may hold or wait. */
  readonly limit: number;
  readonly waitTimeoutMs: number;
}

export class EntityTurns {
  private readonly settings: EntityTurnsSettings;
  private lookUps: Promise<void> = Promise.resolve();
  /** Per entity the claim that holds it, and behind it those that wait; an entity that is free has no entry. */
  private readonly queues = new Map<string, Set<Claim>>();
  private readonly claims = new Set<Claim>();
  /** Whose turn it is; run one after the other, not within each other. */
  private readonly due: Claim[] = [];
  private isRunning = false;

  constructor(settings: EntityTurnsSettings) {
    this.settings = settings;
  }

  /** How many hold or wait. */
  get count(): number {
    return this.claims.size;
  }

  /** Act once the entities of these events are known and free: at once, if they are. */
  take<T>(events: readonly Wanted[], act: () => Promise<T>): Promise<T> {
    return this.whenKnown(events, () => {
      if (this.queues.size === 0) return act();
      return this.claim(events, (release) => {
        try {
          return act();
        } finally {
          release();
        }
      });
    });
  }

  /** The same, and no other claim acts on them until `release` is called; what `act` throws releases them. */
  hold<T>(events: readonly Wanted[], act: (release: () => void) => T): Promise<T> {
    return this.whenKnown(events, () =>
      this.claim(events, async (release) => {
        try {
          return act(release);
        } catch (error) {
          release();
          throw error;
        }
      }),
    );
  }

  /** Nothing will be published any more. */
  fail(error: unknown): void {
    const claims = [...this.claims];
    this.claims.clear();
    this.queues.clear();
    for (const claim of claims) claim.fail(error);
  }

  /**
   * `act` compares versions and takes the next ones in one turn, the turn in which they are known: at once, or after the
   * store, where that is elsewhere, has been asked.
   */
  private whenKnown<T>(events: readonly Wanted[], act: () => Promise<T>): Promise<T> {
    const { heads, lookUp } = this.settings;
    if (lookUp === undefined || this.areKnown(events)) return act();
    const acted = this.lookUps.then(async () => {
      // Again: while the store was asked for one, another log may have written one that was known.
      for (let unknown = events.filter((event) => !this.isKnown(event)); unknown.length > 0; ) {
        for (const { aggregateType: type, aggregateId: id } of unknown) {
          if (!heads.isKnown(type, id)) heads.learn(type, id, await lookUp(type, id), events.length);
        }
        unknown = events.filter((event) => !this.isKnown(event));
      }
      return { promise: act() }; // the next one's turn comes when this one has been appended, not when it is written
    });
    this.lookUps = acted.then(
      () => {},
      () => {},
    );
    return acted.then(({ promise }) => promise);
  }

  private areKnown(events: readonly Wanted[]): boolean {
    return this.settings.lookUp === undefined || events.every((event) => this.isKnown(event));
  }

  private isKnown({ aggregateType, aggregateId }: Wanted): boolean {
    return this.settings.heads.isKnown(aggregateType, aggregateId);
  }

  private claim<T>(events: readonly Wanted[], act: (release: () => void) => Promise<T>): Promise<T> {
    const { limit, waitTimeoutMs: timeoutMs } = this.settings;
    if (this.claims.size >= limit) throw new TrunklineError('TooManyInFlight', { limit });
    const keys = new Set(events.map(({ aggregateType, aggregateId }) => `${aggregateType}\0${aggregateId}`));
    const claim: Claim = { keys, behind: 0, run: () => {}, fail: () => {} };
    const release = (): void => this.release(claim);
    this.claims.add(claim);
    for (const key of keys) {
      const queue = this.queues.get(key);
      if (queue === undefined) {
        this.queues.set(key, new Set([claim]));
        continue;
      }
      queue.add(claim);
      claim.behind++;
    }
    if (claim.behind === 0) return act(release);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    claim.run = () => {
      clearTimeout(timer);
      try {
        if (this.areKnown(events)) return resolve(act(release));
        // Another log has written one of them meanwhile.
        release();
        resolve(this.whenKnown(events, () => this.claim(events, act)));
      } catch (error) {
        release();
        reject(error);
      }
    };
    claim.fail = (error) => {
      clearTimeout(timer);
      claim.run = release; // in its turn: others wait behind it
      reject(error);
    };
    const { aggregateType, aggregateId } = events.find((event) => this.isBehind(claim, event))!;
    const what = `the end of a commit that holds ${aggregateType}/${aggregateId}`;
    const late = guarded(() => claim.fail(new TrunklineError('WaitTimedOut', { what, timeoutMs })));
    const timer = setTimeout(late, timeoutMs);
    return promise;
  }

  private isBehind(claim: Claim, { aggregateType, aggregateId }: Wanted): boolean {
    return firstOf(this.queues.get(`${aggregateType}\0${aggregateId}`)!) !== claim;
  }

  private release(claim: Claim): void {
    if (!this.claims.delete(claim)) return;
    for (const key of claim.keys) {
      const queue = this.queues.get(key)!;
      queue.delete(claim);
      const next = firstOf(queue);
      if (next === undefined) this.queues.delete(key);
      else if (--next.behind === 0) this.due.push(next);
    }
    if (this.isRunning) return;
    this.isRunning = true;
    for (let next = this.due.shift(); next !== undefined; next = this.due.shift()) next.run();
    this.isRunning = false;
  }
}

const firstOf = (queue: ReadonlySet<Claim>): Claim | undefined => queue.values().next().value;
