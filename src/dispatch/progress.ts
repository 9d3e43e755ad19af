// Waiting for the levels behind `written`: the threads that make an event `synced`, `stored` and `published` ring only while
// a caller here waits, and do not linger then.

import { clearInterval, monotonicMs, setInterval } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { onAbort } from '../base/on-abort.ts';
import type { Level } from '../model/receipt.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';
import { hurrySync } from '../shared/log-signals.ts';
import { LevelWaiters, type WaitBound } from './level-waiters.ts';
import type { LevelWait } from './receipt.ts';
import type { Refusals } from './refusals.ts';
import type { AnswerReader } from './store-answers.ts';

type WaitedLevel = Exclude<Level, 'raised' | 'written'>;

const waitedLevels: readonly WaitedLevel[] = ['synced', 'stored', 'published'];
const wordOf = {
  synced: Signal.awaitsSynced,
  stored: Signal.awaitsStored,
  published: Signal.awaitsPublished,
} as const;

/** One level: who waits for it, the position as last looked at, and why it will not come any further. */
class Waiting {
  readonly level: WaitedLevel;
  readonly waiters: LevelWaiters = new LevelWaiters();
  seen = 0;
  failure: TrunklineError | undefined;
  /** What its owner has failed by and tries again; it holds as long as the level stands there. */
  private trouble: { error: TrunklineError; at: number } | undefined;

  constructor(level: WaitedLevel) {
    this.level = level;
  }

  get isEmpty(): boolean {
    return this.waiters.isEmpty;
  }

  troubled(error: TrunklineError, at: number): void {
    this.trouble = { error, at };
    this.waiters.failReading(error);
  }

  troubleAt(position: number): TrunklineError | undefined {
    return this.trouble?.at === position ? this.trouble.error : undefined;
  }
}

interface ProgressSettings {
  /** Whether there is a stream, and so the level `published`. */
  readonly hasStream: boolean;
  readonly isStoreElsewhere: boolean;
  /** How long a wait of a user's lasts. */
  readonly waitTimeoutMs: number;
  /** The name that a stored aggregate type has today. */
  readonly todaysType: (aggregateType: string) => string;
}

const looksPerBound = 4;
const lookMsMost = 1_000;

export class Progress implements LevelWait {
  private readonly control: ControlBlockWriter<'host'>;
  private readonly waiting: readonly Waiting[] = waitedLevels.map((level) => new Waiting(level));
  private readonly refusals: Refusals;
  readonly timeoutMs: number;
  readonly isStoreElsewhere: boolean;
  readonly confirm: LevelWait['confirm'];
  readonly todaysType: LevelWait['todaysType'];
  private onSynced: (() => void) | undefined;
  private looking: NodeJS.Timeout | undefined;

  constructor(
    control: ControlBlockWriter<'host'>,
    settings: ProgressSettings,
    refusals: Refusals,
    answers: Pick<AnswerReader, 'confirm'>,
  ) {
    this.control = control;
    this.timeoutMs = settings.waitTimeoutMs;
    this.todaysType = settings.todaysType;
    this.isStoreElsewhere = settings.isStoreElsewhere;
    this.confirm = answers.confirm;
    this.refusals = refusals;
    if (settings.hasStream) return;
    const reason = "'published' needs a stream, and none is configured";
    this.failLevel('published', new TrunklineError('InvalidOptions', { option: 'level', reason }));
  }

  /**
   * Resolves when `position` has come to the level; rejects with the signal's reason, when that cannot happen, and after the
   * bound with `WaitTimedOut`, whose cause is what holds the level up.
   */
  reached(
    level: Level,
    position: number,
    signal: AbortSignal | undefined,
    patience: WaitBound = 'bounded',
  ): Promise<void> {
    if (level === 'raised' || level === 'written') return Promise.resolve();
    const one = this.of(level);
    const come = this.positionOf(one);
    if (one.failure && come === 0) return Promise.reject(one.failure); // it never was
    if (come >= position) return Promise.resolve();
    if (one.failure) return Promise.reject(one.failure);
    const trouble = patience === 'reading' ? this.troubleOf(level) : undefined;
    if (trouble) return Promise.reject(trouble);
    this.lookNowAndThen();
    const waiting = waitIn(one.waiters, position, signal, patience);
    this.ask();
    this.advance(); // it may have come to the level before the flag stood
    return waiting;
  }

  /** The level's owner has failed, and tries again. */
  troubled(level: WaitedLevel, error: TrunklineError): void {
    this.of(level).troubled(error, this.control.position(level));
  }

  /** What holds a level up: as long as it has not moved since its owner said so. */
  troubleOf(level: WaitedLevel): TrunklineError | undefined {
    return this.of(level).troubleAt(this.control.position(level));
  }

  /** One timer for all waits: a timer for each would cost more than the wait itself mostly does. */
  private lookNowAndThen(): void {
    if (this.looking !== undefined) return;
    const everyMs = Math.max(1, Math.min(lookMsMost, this.timeoutMs / looksPerBound));
    this.looking = setInterval(
      guarded(() => this.giveUpLate()),
      everyMs,
    ).unref();
  }

  private giveUpLate(): void {
    const { timeoutMs } = this;
    for (const { level, waiters } of this.waiting) {
      waiters.expire(monotonicMs() - timeoutMs, (position) => {
        const what = `position ${position} at level '${level}' (it is at ${this.control.position(level)})`;
        return new TrunklineError('WaitTimedOut', { what, timeoutMs }, { cause: this.troubleOf(level) });
      });
    }
    this.ask();
  }

  /** Why the store does not have all of these positions, to which it has come; undefined if it has. */
  refused(from: number, to: number): TrunklineError | undefined {
    return this.refusals.between(from, to);
  }

  /** Why an answer of this aggregate's is not the store's, although nothing that it has raised was refused. */
  unsound(type: string, id: string, receipt: number, lastPosition: number): TrunklineError | undefined {
    return this.refusals.fences.refusal(type, id, receipt, lastPosition);
  }

  nextReceipt(): number {
    return this.refusals.fences.nextReceipt();
  }

  /** The last level that a position, which is written, has come to. */
  levelOf(position: number): Level {
    if (this.control.position('stored') >= position && !this.refused(position, position)) return 'stored';
    return this.control.position('synced') >= position ? 'synced' : 'written';
  }

  /**
   * How far the level has come, as far as the news of it is here: what the store has refused is counted before `stored` moves
   * past it (so: read it after the position), and told by messages, which come when this thread turns to them.
   */
  private positionOf({ level, seen }: Waiting): number {
    const position = this.control.position(level);
    const isToldOf = level !== 'stored' || this.control.position('quarantined') === this.refusals.count;
    return isToldOf ? position : seen;
  }

  private of(level: WaitedLevel): Waiting {
    return this.waiting[waitedLevels.indexOf(level)]!;
  }

  /** Call it whenever more is synced; that hurries no thread. */
  follow(onSynced: () => void): void {
    this.onSynced = onSynced;
    this.ask();
  }

  private isWatched({ isEmpty, level }: Waiting): boolean {
    return !isEmpty || (level === 'synced' && this.onSynced !== undefined);
  }

  /** Release the waiters for what has been reached. */
  advance(): void {
    const { onSynced } = this;
    if (!this.waiting.some((one) => this.isWatched(one))) return;
    const synced = this.of('synced');
    const before = synced.seen;
    for (const one of this.waiting) {
      one.seen = this.positionOf(one);
      one.waiters.advance(one.seen);
    }
    this.ask();
    if (synced.seen !== before) onSynced?.();
  }

  /** Whether a level that is waited for has moved since: to be asked before going to sleep. */
  hasMoved(): boolean {
    return this.waiting.some((one) => this.isWatched(one) && this.positionOf(one) !== one.seen);
  }

  /** Say which levels are waited for; that there is a hurry, again and again: the next sync takes it back. */
  private ask(): void {
    const { control, waiting } = this;
    for (const one of waiting) control.setFlag(wordOf[one.level], this.isWatched(one) ? 1 : 0);
    if (waiting.some(({ isEmpty }) => !isEmpty)) hurrySync(control);
  }

  /** The level will come no further. */
  failLevel(level: WaitedLevel, error: TrunklineError): void {
    const one = this.of(level);
    one.failure ??= error;
    one.waiters.fail(error);
  }

  /** Nothing will be reached any more. */
  fail(error: TrunklineError): void {
    clearInterval(this.looking);
    for (const level of waitedLevels) this.failLevel(level, error);
  }
}

function waitIn(
  waiters: LevelWaiters,
  position: number,
  signal: AbortSignal | undefined,
  patience: WaitBound,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let forget = (): void => {};
    const ending = <T>(settle: (value: T) => void): ((value: T) => void) => {
      if (!signal) return settle;
      return (value) => {
        forget();
        settle(value);
      };
    };
    const waiter = waiters.add(position, ending(resolve) as () => void, ending(reject), patience, monotonicMs());
    forget = onAbort(signal, () => {
      waiters.remove(waiter);
      reject(signal!.reason);
    });
  });
}
