// Durable timers: from the log into memory and the tables, and once due into the hands of the deliveries, which execute a message once,
// over kills and restarts. In memory are those that are due first; the others come from the tables when it is nearly their turn.
// Host thread.
//
// Invariants: a timer is due by the machine's date, and never before; what waits for that is measured by the monotonic clock, and
// looks at the date each second, since that may leap. Of one key one timer at a time is delivered. Until a start has read what the
// last run has left of timers in the log, none is due.
import { clearTimeout, dateMs, setTimeout } from '../base/clock.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import { pauseUnless } from '../base/on-abort.ts';
import type { Watch } from '../dispatch/relief.ts';
import type { HeldChange, TimerFeed } from '../dispatch/timer-feed.ts';
import { laneOf, type Message } from '../wire/message.ts';
import type { Timer } from '../wire/timer.ts';
import { DueHeap } from './due-heap.ts';
import { type Change, Keeping } from './keeping.ts';
import { type Pending, pendingOf } from './pending.ts';
import { Stale } from './stale.ts';
import type { DuePlace, TimerTables } from './timer-tables.ts';

/** Some 40 MB. */
const inMemoryMostDefault = 65_536;
/** The date may leap. */
const lookAgainMs = 1_000;
/** Messages of others give room, and say nothing. */
const noRoomMs = 10;

/** What timers need of deliveries. */
export interface TimerDelivery {
  readonly hasRoom: boolean;
  due(message: Message, watch: Watch): void;
}

export interface TimersParts {
  readonly feed: TimerFeed;
  readonly delivery: TimerDelivery;
  readonly tables: TimerTables;
  /** Resolves when the log is synced up to there. */
  synced(position: number): Promise<void>;
  /** At most so many that the tables have wait in memory as well. */
  readonly inMemoryMost?: number | undefined;
  /** How long a change waits before it goes into the tables. */
  readonly keptAfterMs?: number | undefined;
}

export class Timers {
  private readonly feed: TimerFeed;
  private readonly delivery: TimerDelivery;
  private readonly tables: TimerTables;
  private readonly keeping: Keeping;
  private readonly inMemoryMost: number;
  private readonly stop = new AbortController();
  private readonly heap = new DueHeap();
  private readonly stale = new Stale();
  /** Those in memory, the newest of each key; also those that are due later than `horizon`, until the tables have them. */
  private readonly current = new Map<string, Pending>();
  private readonly delivered = new Map<string, Pending>();
  /** Behind one of its key that is being delivered. */
  private readonly behind = new Map<string, Pending>();
  /** The tables may have more behind it; undefined: all are in memory. */
  private horizon: DuePlace | undefined;
  private isReading = false;
  private hasBegun = false;
  private readonly begun = Promise.withResolvers<void>();
  private isToLook = false;
  private clock: NodeJS.Timeout | undefined;
  private readonly look = guarded(() => this.lookForDue());

  constructor({ feed, delivery, tables, synced, inMemoryMost = inMemoryMostDefault, keptAfterMs }: TimersParts) {
    this.feed = feed;
    this.delivery = delivery;
    this.tables = tables;
    this.inMemoryMost = inMemoryMost;
    unawaited(this.begun.promise, () => {}); // who has begun it hears of it
    this.keeping = new Keeping(tables, synced, this.stop.signal, (change) => this.changeKept(change), keptAfterMs);
  }

  /** What the last run has left: in the tables, and behind them what `replay` gives of the log. */
  async begin(replay: (take: (change: HeldChange) => Promise<void>) => Promise<void>): Promise<void> {
    try {
      this.horizon = { dueMs: Number.NEGATIVE_INFINITY, position: 0 };
      await this.read();
      await replay((change) => this.replayed(change));
      this.feed.follow((change) => this.changed(change));
      this.hasBegun = true;
      this.look();
      this.begun.resolve();
    } catch (error) {
      this.begun.reject(error);
      throw error;
    }
  }

  /**
   * Those that the last run has carried out end now, whatever their dates say (one may have been moved, or the clock set back): those in
   * memory in this turn, and those that only the tables still have.
   */
  async finish(hasOutcome: (id: string) => boolean): Promise<void> {
    for (const pending of [...this.current.values()])
      if (hasOutcome(pending.timer.message.id) && !this.delivered.has(pending.key)) this.deliver(pending);
    for await (const timer of this.tables.withIds(hasOutcome)) {
      const key = laneOf(timer.message);
      const pending = this.current.get(key) ?? pendingOf(key, timer, true, false);
      if (pending.timer.message.id === timer.message.id && !this.delivered.has(key)) this.deliver(pending);
    }
  }

  /** What a user waits for has a bound. @throws WaitTimedOut */
  inTime<T>(work: Promise<T>): Promise<T> {
    return this.tables.inTime(work);
  }

  /** Those that wait, in the order of their dates, as the tables have them once they have all; none that is being executed. @throws RuntimeClosed */
  async *all(): AsyncGenerator<Timer> {
    await this.begun.promise;
    await this.keeping.settled();
    for await (const timer of this.tables.all()) {
      if (this.delivered.get(laneOf(timer.message))?.timer.message.id !== timer.message.id) yield timer;
    }
  }

  /**
   * A user's change of one that the tables have: due at another date, or (`dueMs` undefined) never. False, and nothing is changed: it
   * is being executed, or waits no longer.
   */
  async change(timer: Timer, dueMs: number | undefined): Promise<boolean> {
    const { message } = timer;
    const key = laneOf(message);
    const known = this.current.get(key);
    if (this.delivered.get(key)?.timer.message.id === message.id) return false;
    if (known !== undefined && known.timer.message.id !== message.id) return false;
    // From this turn on it is not due; until the tables say so durably, a start finds it as it was. It stays the one of its key, so that
    // a command that replaces or cancels it meanwhile is seen here, and goes into the tables behind this.
    if (known !== undefined) this.end(known);
    const before = pendingOf(key, timer, true, false);
    before.isOver = true;
    this.current.set(key, before);
    this.stale.note(key, message.position);
    const moved = dueMs === undefined ? undefined : { message, dueMs };
    const exchange = this.tables.exchange(timer, moved);
    let isChanged = false;
    try {
      isChanged = await exchange;
    } catch (error) {
      // The tables could not be read: it is what it was.
      if (this.current.get(key) === before) this.moved(pendingOf(key, timer, true, false));
      throw error;
    } finally {
      this.stale.forget(key, message.position);
    }
    if (this.current.get(key) !== before) return isChanged;
    this.current.delete(key);
    if (isChanged && moved !== undefined) this.moved(pendingOf(key, moved, true, false));
    return isChanged;
  }

  private moved(pending: Pending): void {
    this.current.set(pending.key, pending);
    this.enter(pending);
    this.kept(pending);
  }

  close(): void {
    this.stop.abort();
    this.begun.resolve();
    clearTimeout(this.clock);
  }

  /** A move, or a change of a user's, may be newer in the tables than what the log says. */
  private async replayed(change: HeldChange): Promise<void> {
    const { key, position } = change;
    const known = this.current.get(key)?.timer ?? (this.horizon && (await this.tables.at(key)));
    if (known !== undefined && known.message.position >= position) return change.release();
    this.changed(change);
  }

  private changed({ key, position, timer, release }: HeldChange): void {
    const before = this.current.get(key);
    if (before !== undefined) this.end(before);
    const mayReplace = before !== undefined ? before.isKept || before.mayReplace : this.horizon !== undefined;
    const pending = timer && pendingOf(key, timer, false, mayReplace);
    this.behind.delete(key);
    if (pending !== undefined) {
      this.current.set(key, pending);
      this.enter(pending);
    }
    this.stale.note(key, position);
    this.keeping.add({ key, position, pending, mayReplace, release });
  }

  /** Into memory, if its turn may come before others are read. */
  private enter(pending: Pending): void {
    if (this.horizon !== undefined && pending.timer.dueMs > this.horizon.dueMs) return;
    this.heap.push(pending);
    if (this.heap.size > this.inMemoryMost) this.leaveOut();
    if (this.heap.first === pending) this.lookSoon();
  }

  /** Once the turn is over: what it brings in several rings is in no common order. */
  private lookSoon(): void {
    if (this.isToLook) return;
    this.isToLook = true;
    unawaited(Promise.resolve().then(this.look));
  }

  private changeKept({ key, position, pending }: Change): void {
    this.stale.forget(key, position);
    if (pending !== undefined) this.kept(pending);
  }

  private leaveOut(): void {
    const left = this.heap.keepFirst(this.inMemoryMost / 2);
    if (left[0] !== undefined) this.horizon = { dueMs: left[0].timer.dueMs - 1, position: 0 };
    for (const pending of left) this.kept(pending);
  }

  /** The tables have it: that is enough of one that is due later. While they are read it may be missing in what comes of that. */
  private kept(pending: Pending): void {
    if (!this.isReading) this.drop(pending);
  }

  private drop(pending: Pending): void {
    const { key, timer, isInLine, isKept } = pending;
    if (isInLine || !isKept || this.horizon === undefined) return;
    if (this.stale.covers(key, timer.message.position)) return; // the tables are about to get it
    if (this.current.get(key) === pending) this.current.delete(key);
  }

  /** What the tables have up to there is in memory. */
  private readTo(horizon: DuePlace | undefined): void {
    this.horizon = horizon;
    this.stale.readingEnds();
    for (const pending of this.current.values()) {
      if (pending.isInLine || pending.isOver) continue;
      if (horizon === undefined || pending.timer.dueMs <= horizon.dueMs) this.heap.push(pending);
      else this.drop(pending);
    }
  }

  private end(pending: Pending): void {
    pending.isOver = true;
    if (this.current.get(pending.key) === pending) this.current.delete(pending.key);
  }

  private lookForDue(): void {
    clearTimeout(this.clock);
    this.isToLook = false;
    if (!this.hasBegun || this.stop.signal.aborted) return;
    const now = dateMs();
    for (let next = this.heap.first; next !== undefined; next = this.heap.first) {
      if (!next.isOver && next.timer.dueMs > now) break;
      if (!next.isOver && !this.delivery.hasRoom) break;
      this.heap.shift();
      if (!next.isOver) this.deliver(next);
    }
    if (this.horizon !== undefined && this.heap.size < this.readAtOnce) this.readOn();
    const { first } = this.heap;
    if (first === undefined) return; // a timer that comes looks by itself
    const waitMs = first.timer.dueMs <= now ? noRoomMs : Math.min(first.timer.dueMs - now, lookAgainMs);
    this.clock = setTimeout(this.look, waitMs);
  }

  private get readAtOnce(): number {
    return this.inMemoryMost / 4;
  }

  private deliver(pending: Pending): void {
    const { key, timer } = pending;
    if (this.delivered.has(key)) {
      this.behind.set(key, pending);
      return;
    }
    this.delivered.set(key, pending);
    let isReleased = false;
    this.delivery.due(timer.message, {
      isOver: () => pending.isOver,
      release: async () => {
        isReleased = true;
        this.end(pending); // from here on the tables do not get it
        if (pending.isKept) await this.tables.release(timer.message);
      },
      ended: () => this.ended(pending, isReleased),
    });
  }

  private ended(pending: Pending, isReleased: boolean): void {
    const { key } = pending;
    this.end(pending);
    this.delivered.delete(key);
    const { message } = pending.timer;
    this.stale.note(key, message.position);
    // A dead letter: the tables may have got it while it became one.
    const gone = !isReleased && pending.isKept ? this.tables.release(message) : Promise.resolve();
    unawaited(
      gone.then(() => this.stale.forget(key, message.position)),
      () => {},
    );
    const next = this.behind.get(key);
    this.behind.delete(key);
    if (next !== undefined && !next.isOver) this.deliver(next);
    // Most end in the turn in which others do: one look for all of them.
    if (this.heap.first !== undefined && this.heap.first.timer.dueMs <= dateMs()) this.lookSoon();
  }

  private readOn(): void {
    if (this.isReading) return;
    this.isReading = true;
    unawaited(this.read().then(this.look));
  }

  /** The next ones from the tables, where it is again and again tried. */
  private async read(): Promise<void> {
    this.isReading = true;
    this.stale.readingBegins();
    try {
      while (this.horizon !== undefined && !this.stop.signal.aborted) {
        try {
          return await this.readFrom(this.horizon);
        } catch {
          await pauseUnless(this.stop.signal, lookAgainMs);
        }
      }
    } finally {
      this.isReading = false;
      this.stale.readingEnds();
    }
  }

  private async readFrom(place: DuePlace): Promise<void> {
    const found = await this.tables.behind(
      place.dueMs === Number.NEGATIVE_INFINITY ? undefined : place,
      this.readAtOnce,
    );
    if (this.horizon !== place) return; // it has come nearer meanwhile
    for (const timer of found) {
      const key = laneOf(timer.message);
      if (this.current.has(key) || this.delivered.get(key)?.timer.message.id === timer.message.id) continue;
      if (this.stale.covers(key, timer.message.position)) continue;
      this.current.set(key, pendingOf(key, timer, true, false));
    }
    const last = found.length === this.readAtOnce ? found.at(-1) : undefined;
    this.readTo(last && { dueMs: last.dueMs, position: last.message.position });
  }
}
