// Waiting for the levels behind `written`: the threads that make an event `synced` and `stored` ring only while somebody
// here waits, and do not linger then.
import { TrunklineError } from '../errors.ts';
import { hurrySync, type Levels, LevelWord } from '../log/levels.ts';
import type { Level } from '../receipt.ts';
import { LevelWaiters } from './level-waiters.ts';

export class Progress {
  private readonly levels: Levels;
  private readonly synced = new LevelWaiters();
  private readonly stored = new LevelWaiters();
  private failure: TrunklineError | undefined;
  private onSynced: (() => void) | undefined;
  /** Positions as last looked at. */
  private syncedSeen = 0;
  private storedSeen = 0;

  constructor(levels: Levels) {
    this.levels = levels;
  }

  /** Resolves when `position` has come to the level; rejects with the signal's reason, or when that cannot happen. */
  reached(level: Level, position: number, signal: AbortSignal | undefined): Promise<void> {
    if (level === 'raised' || level === 'written') return Promise.resolve();
    if (level === 'published') {
      const reason = 'needs a stream, and none is configured';
      return Promise.reject(new TrunklineError('InvalidOptions', { option: 'level', value: level, reason }));
    }
    if (this.levels.position(level) >= position) return Promise.resolve();
    if (this.failure) return Promise.reject(this.failure);
    const waiters = this[level];
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiters.remove(waiter);
        reject(signal!.reason);
      };
      const ending = <T>(settle: (value: T) => void): ((value: T) => void) => {
        if (!signal) return settle;
        return (value) => {
          signal.removeEventListener('abort', onAbort);
          settle(value);
        };
      };
      const waiter = waiters.add(position, ending(resolve) as () => void, ending(reject));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.ask();
      this.advance(); // it may have come to the level before the flag stood
    });
  }

  /** Call it whenever more is synced; that hurries nobody. */
  follow(onSynced: () => void): void {
    this.onSynced = onSynced;
    this.ask();
  }

  /** Release whoever waits for what has been reached. */
  advance(): void {
    const { onSynced, syncedSeen } = this;
    if (this.synced.isEmpty && this.stored.isEmpty && onSynced === undefined) return;
    this.syncedSeen = this.levels.position('synced');
    this.storedSeen = this.levels.position('stored');
    this.synced.advance(this.syncedSeen);
    this.stored.advance(this.storedSeen);
    this.ask();
    if (this.syncedSeen !== syncedSeen) onSynced?.();
  }

  /** Whether a level that is waited for has moved since: to be asked before going to sleep. */
  hasMoved(): boolean {
    if ((!this.synced.isEmpty || this.onSynced) && this.levels.position('synced') !== this.syncedSeen) return true;
    return !this.stored.isEmpty && this.levels.position('stored') !== this.storedSeen;
  }

  /** Say which levels are waited for. */
  private ask(): void {
    const { levels, stored, synced } = this;
    levels.setFlag(LevelWord.awaitsStored, stored.isEmpty ? 0 : 1);
    levels.setFlag(LevelWord.awaitsSynced, synced.isEmpty && !this.onSynced ? 0 : 1);
    if (stored.isEmpty && synced.isEmpty) levels.setFlag(LevelWord.hurry, 0);
    else hurrySync(levels);
  }

  /** Nothing will be reached any more. */
  fail(error: TrunklineError): void {
    this.failure ??= error;
    this.synced.fail(error);
    this.stored.fail(error);
  }
}
