// Loads whose heads others have locked: when each tries again, and for how long it then waits for its lock.
//
// Invariants: one of them tries at a time, so that a load that waits for no lock finds one try at most before its own. Tries that
// end without the lock take about half of the connection's time at most, however many loads there are. In turn, each makes a long
// try: a lock that is free for moments only goes to who stands in the server's queue for it, not to who looks now and then.
import { pause, performance } from '../../../base/clock.ts';
import { unawaited } from '../../../base/guarded.ts';

/** Longer than the flush of another log holds a head, mostly. */
export const shortTryMs = 5;
/** Longer than a session that locks a head again and again keeps it, mostly. */
export const longTryMs = 300;
/** Between two long ones, where that many loads wait. */
const shortTriesMost = 10;
/** What a long try owes the connection is paid in pauses of this length: between them others look whether their locks are free. */
const pauseMs = 50;

/** `begun`: to be called when the connection is there; the wait for it is not the try's time. */
type Try<T> = (lockMs: number, begun: () => void) => Promise<T | 'held'>;

interface Held {
  readonly end: number;
  longTries: number;
  /** Never rejects. `over`: it waits no longer. */
  tries(lockMs: number, begun: () => void, isLast: boolean): Promise<'loaded' | 'held' | 'over'>;
}

interface Clock {
  now(): number;
  pause(ms: number): Promise<unknown>;
}

export class HeldLoads {
  private readonly clock: Clock;
  /** In the order of their next tries. */
  private readonly loads: Held[] = [];
  private isTrying = false;

  constructor(clock: Clock = { now: () => performance.now(), pause: (ms) => pause(ms) }) {
    this.clock = clock;
  }

  /** What a try comes to; `held`: others have the lock at `end`, too, when it is tried for the last time. */
  wait<T>(attempt: Try<T>, end: number): Promise<T | 'held'> {
    const { promise, resolve, reject } = Promise.withResolvers<T | 'held'>();
    const tries: Held['tries'] = async (lockMs, begun, isLast) => {
      try {
        const found = await attempt(lockMs, begun);
        if (found === 'held' && !isLast) return 'held';
        resolve(found);
        return found === 'held' ? 'over' : 'loaded';
      } catch (error) {
        reject(error);
        return 'over';
      }
    };
    this.loads.push({ end, longTries: 0, tries });
    if (!this.isTrying) unawaited(this.tryInTurn());
    return promise;
  }

  private async tryInTurn(): Promise<void> {
    this.isTrying = true;
    let owedMs = 0;
    let shortTries = Number.POSITIVE_INFINITY; // since the last long one
    while (this.loads.length > 0) {
      const mayBeLong = owedMs === 0 && shortTries >= Math.min(this.loads.length, shortTriesMost);
      const { load, isLast } = this.next(mayBeLong);
      const isLong = mayBeLong && !isLast;
      if (isLong) load.longTries++;
      shortTries = isLong ? 0 : shortTries + 1;
      let began = this.clock.now();
      const begun = (): void => void (began = this.clock.now());
      const result = await load.tries(isLong ? longTryMs : shortTryMs, begun, isLast);
      if (result === 'held') this.loads.push(load);
      if (result === 'loaded') {
        // Locks change hands, and who has let go of this one may have had those of the others: they try at once.
        [owedMs, shortTries] = [0, Number.POSITIVE_INFINITY];
        continue;
      }
      const tookMs = this.clock.now() - began;
      owedMs += tookMs;
      owedMs -= await this.rest(Math.min(owedMs, isLong ? pauseMs : Math.max(pauseMs, 2 * tookMs)));
    }
    this.isTrying = false;
  }

  /** Whose time is over, then who has made the fewest long tries, or waits longest for any. */
  private next(isLong: boolean): { load: Held; isLast: boolean } {
    const now = this.clock.now();
    const over = this.loads.findIndex(({ end }) => end <= now);
    const fewest = isLong ? Math.min(...this.loads.map(({ longTries }) => longTries)) : undefined;
    const inTurn = isLong ? this.loads.findIndex(({ longTries }) => longTries === fewest) : 0;
    const [load] = this.loads.splice(over === -1 ? inTurn : over, 1);
    return { load: load!, isLast: over !== -1 };
  }

  /** Leaves the connection to others, no longer than until a load's end. Returns for how long. */
  private async rest(ms: number): Promise<number> {
    const now = this.clock.now();
    const restMs = this.loads.reduce((least, { end }) => Math.min(least, Math.max(0, end - now)), ms);
    if (restMs > 0) await this.clock.pause(restMs);
    return restMs;
  }
}
