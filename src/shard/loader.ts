// Brings an actor to life: a snapshot, the events after it, and what is still in the log only. What this machine's own
// environment knows is enough mostly, and needs no waiting; the rest comes from the store elsewhere.
//
// Invariants: an aggregate that is still in the log is never loaded stale. One that another log has written meanwhile
// (ownership lost) is loaded from the store alone, and only once everything that this log had to say is there or in quarantine.

import { pause, performance } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { userJson } from '../base/json.ts';
import { eachFrame } from '../log/frames.ts';
import { openLogReader } from '../log/lmdb.ts';
import type { LogSource } from '../log/log.ts';
import { withPosition } from '../model/unreadable-event.ts';
import { ControlBlock } from '../shared/control-block.ts';
import { loadAdapter } from '../store/adapter.ts';
import type { LocalReader, LocalStore } from '../store/local.ts';
import type { LoadedAggregate, RemoteAggregate, RemoteReader } from '../store/store.ts';
import { FrameReader } from '../wire/frame.ts';
import { isMintedBy } from '../wire/ids.ts';
import { Actor, type ActorType } from './actor.ts';
import { type ShardData, shardOf } from './contract.ts';
import { evolveFrame } from './evolve.ts';
import { freezeState } from './frozen.ts';
import { type CachedOutcome, OutcomeCache } from './outcome-cache.ts';
import { TailIndex } from './tail-index.ts';

const lookEveryMs = 2;

/** Where aggregates come from. */
interface Sources {
  readonly local: LocalReader;
  readonly remote: RemoteReader | undefined;
  readonly log?: LogSource;
  readonly tail?: TailIndex;
}

export class Loader {
  private readonly store: LocalReader;
  private readonly control: ControlBlock;
  private readonly logId: string;
  private readonly remote: RemoteReader | undefined;
  private readonly storeName: string;
  private readonly timeoutMs: number;
  private log: LogSource | undefined;
  private tail: TailIndex | undefined;

  private constructor(data: ShardData, control: ControlBlock, { local, remote, log, tail }: Sources) {
    this.store = local;
    this.control = control;
    this.logId = data.logId;
    this.remote = remote;
    this.storeName = data.store?.name ?? '';
    this.timeoutMs = data.store?.loadTimeoutMs ?? 0;
    this.log = log;
    this.tail = tail;
  }

  static async open(data: ShardData): Promise<Loader> {
    const control = new ControlBlock(data.controlBlock);
    const { openReader } = await loadAdapter<LocalStore>(data.local);
    const remote = await remoteReader(data);
    const [remembered, written] = [control.position('remembered'), control.position('written')];
    if (remembered >= written) return new Loader(data, control, { local: await openReader(data.local.folder), remote });
    const log = openLogReader(data.logFolder, data.mapBytes);
    const isMine = (type: string, id: string): boolean => shardOf(type, id, data.shards) === data.index;
    const tail = new TailIndex(log, remembered + 1, written, isMine);
    return new Loader(data, control, { local: await openReader(data.local.folder), remote, log, tail });
  }

  /** The actor as everything written so far makes it, a new one if nothing was; undefined: it has to be {@link fetch}ed. */
  load(type: ActorType, id: string): Actor | undefined {
    for (;;) {
      const tail = this.currentTail()?.positionsOf(type.name, id) ?? [];
      const remembered = this.control.position('remembered');
      const loaded = this.store.load(type.name, id, type.fingerprint);
      if (this.remote !== undefined && !this.isEnough(loaded, tail, id)) return undefined;
      const actor = new Actor(type, id, type.definition.state(), 0, 0);
      if (loaded !== undefined) this.replay(actor, loaded, loaded.frames);
      try {
        // What the log has truncated meanwhile has been stored meanwhile: then look there again.
        if (tail.every((position) => position <= remembered || this.apply(actor, position))) {
          freezeState(actor.state);
          return actor;
        }
      } catch (error) {
        // Others have written what comes before: the store elsewhere knows it.
        if (this.remote === undefined || !isError(error, 'VersionGap')) throw error;
        return undefined;
      }
    }
  }

  /**
   * Fill the actor with what the store elsewhere knows, and this machine beyond that. `isPublished` tells whether the log
   * has everything that this shard has said so far.
   * @throws StoreUnavailable, VersionGap
   */
  async fetch(actor: Actor, isPublished: () => boolean): Promise<void> {
    const { type, id } = actor;
    const remote = this.remote!;
    let local = this.store.load(type.name, id, type.fingerprint);
    const tail = this.currentTail()?.positionsOf(type.name, id) ?? [];
    const isKnown = local !== undefined || tail.length > 0;
    if (isKnown && (local?.isOwnershipLost || (await remote.owner(type.name, id)) === 'another')) {
      local = undefined;
      actor.settledPosition = await this.allStored(isPublished);
    }
    const after = local?.snapshot?.version ?? 0;
    const stored = await remote.look(type.name, id, type.fingerprint, after);
    // What this machine once read or stored there: a database that has come back from an earlier state lacks it for now.
    if (local !== undefined && Math.max(stored?.version ?? 0, after) < local.base) {
      const cause = `it has version ${stored?.version ?? 0} of ${type.name}/${id}, of which this log knows ${local.version}`;
      throw new TrunklineError('StoreUnavailable', { store: this.storeName, cause });
    }
    actor.state = type.definition.state();
    actor.version = 0;
    if (stored !== undefined) await this.replayStored(actor, stored, stored.snapshot ?? local?.snapshot);
    // A second look: what the first one returned is valid only until the next, and the store may be behind.
    if (local !== undefined) {
      const newest = this.store.load(type.name, id, type.fingerprint)!;
      if (newest.snapshot !== undefined && newest.snapshot.version > actor.version) this.replay(actor, newest, []);
      this.continue(actor, newest.frames);
      for (const position of this.currentTail()?.positionsOf(type.name, id) ?? []) this.apply(actor, position);
    }
    // The next command's group carries a snapshot, so that this machine knows it from then on.
    actor.snapshotVersion = actor.version === 0 ? 0 : Number.NEGATIVE_INFINITY;
    actor.loadedVersion = actor.version;
    freezeState(actor.state);
  }

  /** An aggregate of another log is taken over once it has been read: what this release cannot read stays with whom it is. */
  private async replayStored(
    actor: Actor,
    stored: RemoteAggregate & { readonly isOwn: boolean },
    snapshot: RemoteAggregate['snapshot'],
  ): Promise<void> {
    const { type, id } = actor;
    const remote = this.remote!;
    await this.replayPages(actor, { ...stored, snapshot }, () =>
      remote.look(type.name, id, type.fingerprint, actor.version),
    );
    if (stored.isOwn) return;
    const take = (): Promise<RemoteAggregate | undefined> =>
      remote.load(type.name, id, type.fingerprint, actor.version, this.control.position('stored'));
    await this.replayPages(actor, await take(), take);
  }

  private async replayPages(
    actor: Actor,
    first: RemoteAggregate | undefined,
    next: () => Promise<RemoteAggregate | undefined>,
  ): Promise<void> {
    for (let page = first; page !== undefined; page = actor.version < page.version ? await next() : undefined) {
      this.replay(actor, page, framesIn(page.frames, page.eventCount));
    }
  }

  /** The outcome of an earlier command with this idempotency key. @throws RecordInvalid */
  outcome(type: string, id: string, key: string): CachedOutcome | undefined {
    const inTail = this.currentTail()?.outcome(OutcomeCache.key(type, id, key));
    return inTail ?? this.store.receipt(type, id, key);
  }

  /** The keys under which outcomes of these versions of an aggregate are kept. */
  outcomeKeys(type: string, id: string, from: number, below: number): Set<string> {
    const keys = new Set(this.store.receiptKeys(type, id, from, below));
    for (const key of this.currentTail()?.outcomeKeys(type, id, from, below) ?? []) keys.add(key);
    return keys;
  }

  /** Whether this machine's own knowledge reaches back to the beginning, or to a snapshot. */
  private isEnough(loaded: LoadedAggregate | undefined, tail: readonly number[], id: string): boolean {
    if (loaded !== undefined) return !loaded.isOwnershipLost && loaded.base === (loaded.snapshot?.version ?? 0);
    return tail.length > 0 || isMintedBy(this.logId, id, this.store.since);
  }

  /** Everything that this log had to say is in the store, or in quarantine; up to which position. */
  private async allStored(isPublished: () => boolean): Promise<number> {
    const end = performance.now() + this.timeoutMs;
    let target = -1;
    for (;;) {
      if (target < 0 && isPublished()) target = this.control.position('appended');
      if (target >= 0 && this.control.position('stored') >= target) return target;
      if (performance.now() > end) {
        const cause = `it is at position ${this.control.position('stored')} of ${target}`;
        throw new TrunklineError('StoreUnavailable', { store: this.storeName, cause });
      }
      await pause(lookEveryMs);
    }
  }

  private replay(actor: Actor, { snapshot }: Pick<LoadedAggregate, 'snapshot'>, frames: Iterable<FrameReader>): void {
    if (snapshot !== undefined) {
      actor.state = userJson(snapshot.stateJson);
      actor.version = snapshot.version;
      actor.snapshotVersion = snapshot.version;
    }
    for (const frame of frames) this.evolve(actor, frame);
  }

  /** Evolve by those that it does not have yet. */
  private continue(actor: Actor, frames: Iterable<FrameReader>): void {
    for (const frame of frames) if (frame.version > actor.version) this.evolve(actor, frame);
  }

  /** Evolve by one event of the log, unless the store has shown it already; false if the log has it no more. */
  private apply(actor: Actor, position: number): boolean {
    let found = false;
    eachFrame(this.log!, position, position, (frame) => {
      found = true;
      if (frame.version > actor.version) this.evolve(actor, frame, position);
    });
    return found;
  }

  /** `position` 0: looked up where it is needed. */
  private evolve(actor: Actor, frame: FrameReader, position = 0): void {
    if (frame.version !== actor.version + 1) {
      const { type, id: aggregateId, version } = actor;
      const [expectedVersion, foundVersion] = [version + 1, frame.version];
      const aggregateType = type.definition.name;
      throw new TrunklineError('VersionGap', { aggregateType, aggregateId, expectedVersion, foundVersion });
    }
    try {
      actor.state = evolveFrame(actor.type.definition, actor.state, frame, actor.id, position);
    } catch (error) {
      const { type, id, version } = actor;
      throw position > 0 ? error : withPosition(error, () => this.store.positionOf(type.name, id, version + 1));
    }
    actor.version = frame.version;
  }

  private currentTail(): TailIndex | undefined {
    if (this.tail !== undefined && this.control.position('remembered') >= this.tail.lastPosition) {
      unawaited(this.tail.close());
      this.tail = undefined;
      this.log = undefined;
    }
    return this.tail;
  }

  async close(): Promise<void> {
    await this.remote?.close();
    await this.tail?.close();
    await this.store.close();
  }
}

/** A store elsewhere, if there is one: its client library is loaded only for it. */
async function remoteReader({ store, logId }: ShardData): Promise<RemoteReader | undefined> {
  if (store === undefined) return undefined;
  const adapter = await loadAdapter(store);
  return adapter.openAggregateReader(store.settings, logId);
}

function* framesIn(frames: Buffer, count: number): Generator<FrameReader> {
  const frame = new FrameReader(frames);
  for (let next = 0, i = 0; i < count; i++) {
    frame.at(next);
    next = frame.next;
    yield frame;
  }
}
