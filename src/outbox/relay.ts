// The relay: what transactions of the user's own have committed, into this log, exactly once. Runs on the host thread,
// with a ring of its own; its work for an event is about that of publishing one, and is done in slices of some 256 KiB.
//
// A claim is durable before its events are in the ring, and each group in the log says how far claimed rows have come (the
// place). Hence, wherever a run ends: what is claimed and behind the last place in the log has to be appended, what is
// before it has not. The events are marked: the store, which has them, only notes their positions and settles their rows
// (relayed.ts). What this log has claimed it appends also when another runtime relays meanwhile: no other log can.
//
// A row is no proof that the log lacks its event: tables can be restored, and rows written by hand. So an event that the store has a
// position for, or that this log has and the store has yet to note, is not appended; and where the database has gone back, the log
// itself is asked. Numbers of batches alone do not show that: a server that recovers lets a sequence leap ahead (up to 32 numbers are
// in its log before they are drawn), so how far the database has this log's events is compared, too.
//
//   opening ─▶ standby (another runtime relays) ◀─▶ relaying        stop() ends it between two claims
//      └───────── any error: retrying, after a pause opening again
import { backoffMs, jittered } from '../base/backoff.ts';
import { clearTimeout, pause, performance, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { FrameFlag, FrameKind } from '../wire/frame.ts';
import {
  type ClaimedEvent,
  type ClaimedRow,
  eventKey,
  nowhere,
  type Outbox,
  type OutboxSession,
  placeIn,
  placeName,
  type RelayStatus,
} from './outbox.ts';
import { reconcile } from './reconcile.ts';
import { groupBytes, RelayRing, Unrelayable } from './relay-ring.ts';
import { StoredLevel } from './stored-level.ts';

export interface RelaySettings {
  outbox: Outbox;
  control: ControlBlock;
  ringBytes: number;
  /** How often to look while nothing comes and no hint arrives, milliseconds. */
  pollMs: number;
  onError(error: Error): void;
  onWarning(message: string, details: object): void;
}

const claimLimit = 500;
const rowsUnderWayLimit = 10_000; // claimed and not yet settled by the flusher
const standbyMs = 1000;
const settleMs = 500;
const raisedTypesMs = 1000; // how often to ask which types database roles may write
const pauses = { minMs: 100, maxMs: 10_000 };
const stopGraceMs = 1000; // then a statement that is running is waited for no longer
const finishGraceMs = 10_000; // from opening on; rows that stay hold up other logs until this one is opened again
const roomMs = 5; // how often to look for room in the ring, and whether the store has caught up

export class Relay {
  readonly status: RelayStatus = { state: 'opening', relayed: 0, setAside: 0, held: 0, lastError: undefined };
  readonly ring: RelayRing;
  private readonly settings: RelaySettings;
  private readonly stopping = new AbortController();
  /** Lets go of the session, whatever runs in it. */
  private readonly letGo = new AbortController();
  private log: LogSource | undefined;
  private session: OutboxSession | undefined;
  private onTried: () => void = () => {};
  /** Resolves when the outbox has been opened, or could not be, for the first time. */
  readonly tried: Promise<void> = new Promise((resolve) => {
    this.onTried = resolve;
  });
  private failures = 0;
  /** The last batch that the log has, or that this run has seen. */
  private lastBatch = 0;
  private hinted = false;
  private mayHaveSettled = true;
  private settledAt = Number.NEGATIVE_INFINITY;
  private readonly level = new StoredLevel();
  private raised: ReadonlySet<string> | undefined;
  private raisedAt = Number.NEGATIVE_INFINITY;
  private wakeUp: () => void = () => {};
  private running: Promise<void> | undefined;

  constructor(settings: RelaySettings) {
    this.settings = settings;
    this.ring = new RelayRing(settings.control, settings.ringBytes, () => this.beginStop());
  }

  /** Find out how far the log is, from `from` (what the store has is behind it) up to its end; then begin. */
  start(log: LogSource, from: number, to: number): void {
    this.log = log;
    let place = nowhere;
    eachFrame(log, from, to, (frame, position) => {
      if (frame.kind === FrameKind.place && frame.name === placeName) place = placeIn(frame.dataJson);
      const isRelayed = frame.kind === FrameKind.event && (frame.flags & FrameFlag.alreadyStored) !== 0;
      if (isRelayed) this.ring.unsettled.left(frame, position);
    });
    this.ring.resume(to, place);
    this.lastBatch = place.batch;
    this.running = this.run();
  }

  /** Types that database roles may raise or save in transactions of their own, as they were when they were last asked for. */
  get raisedTypes(): ReadonlySet<string> {
    return this.raised ?? this.settings.outbox.raisedTypes;
  }

  /** Something may have been committed. */
  hint(): void {
    this.hinted = true;
    this.wakeUp();
  }

  /** Claim nothing more; resolves when the connection is closed. What is claimed and not appended the next run finds. */
  async stop(): Promise<void> {
    this.beginStop();
    const patience = setTimeout(
      guarded(() => this.session?.abort()),
      stopGraceMs,
    );
    await this.running;
    clearTimeout(patience);
  }

  /** Nothing is waited for any longer: from now on nothing is written to the outbox. */
  cut(): void {
    this.beginStop();
    this.letGo.abort();
  }

  /** After the last flush: the rows that every reader of the log has passed go, so that no other log waits for them. */
  async finish(): Promise<void> {
    if (!this.mayHaveSettled || this.letGo.signal.aborted) return;
    const impatience = new AbortController();
    const patience = setTimeout(
      guarded(() => impatience.abort()),
      finishGraceMs,
    );
    let session: OutboxSession | undefined;
    try {
      session = await this.settings.outbox.open(AbortSignal.any([this.letGo.signal, impatience.signal]));
      await session.settle(this.settings.control.position('floor'));
    } catch {
      // The next start settles them.
    } finally {
      clearTimeout(patience);
      await session?.close();
    }
  }

  private beginStop(): void {
    this.stopping.abort();
    this.wakeUp();
  }

  private get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private async run(): Promise<void> {
    const { status } = this;
    while (!this.isStopping) {
      try {
        this.session = await this.settings.outbox.open(this.letGo.signal);
        status.setAside = await this.session.countSetAside();
        this.onTried();
        await this.relay(this.session);
      } catch (error) {
        await this.failed(error as Error);
      } finally {
        await this.session?.close();
      }
    }
    status.state = 'stopped';
  }

  private async relay(session: OutboxSession): Promise<void> {
    const { status } = this;
    const drawn = await session.lastBatch();
    if (drawn < this.lastBatch || this.ring.unsettled.isPart) await this.reconcile(session);
    else this.lastBatch = drawn;
    // What an earlier session has claimed, and perhaps not appended: its reply may have been lost. Its claim may also be waiting
    // for a lock at the server: ours comes behind it, so what has been claimed is read again after our first claim.
    await this.drain(session);
    let isFirst = true;
    while (!this.isStopping) {
      this.hinted = false;
      this.level.look(this.settings.control.position('stored'));
      const { isRelay, events, batch, stored, held, heldBy } = await session.claim(claimLimit, this.lastBatch);
      status.state = isRelay ? 'relaying' : 'standby';
      status.lastError = undefined;
      this.failures = 0;
      this.heldBack(held, heldBy);
      if (batch > 0 && (batch <= this.lastBatch || this.level.hasGoneBack(stored))) {
        this.lastBatch = Math.max(this.lastBatch, batch);
        await this.reconcile(session);
        continue;
      }
      if (batch > 0) this.lastBatch = batch;
      if (events > 0 || isFirst || !isRelay) await this.drain(session);
      isFirst = false;
      await this.settle(session);
      if (performance.now() - this.raisedAt >= raisedTypesMs) await this.lookAtRights(session);
      if (events === 0 && !this.hinted) await this.sleep(isRelay ? this.settings.pollMs : standbyMs);
      await this.untilStored();
    }
    await session.resign();
  }

  private async lookAtRights(session: OutboxSession): Promise<void> {
    this.raised = await session.raisedTypes();
    this.raisedAt = performance.now();
  }

  /** Append what is claimed, slice by slice. */
  private async drain(session: OutboxSession): Promise<void> {
    while (!this.isStopping) {
      const { events, orphans, known } = await session.claimed(this.ring.place, groupBytes);
      if (events.length + orphans.length + known.length === 0) return;
      for (const orphan of orphans) await this.setAside(session, orphan, 'it is not in domain_events any more');
      const inSlice = new Set<string>();
      const fresh: ClaimedEvent[] = [];
      const again: ClaimedRow[] = [...known];
      for (const event of events) {
        const key = eventKey(event);
        (this.ring.unsettled.has(event) || inSlice.has(key) ? again : fresh).push(event);
        inSlice.add(key);
      }
      await this.remove(session, again);
      await this.append(session, fresh);
    }
  }

  /** Rows that were written again. */
  private async remove(session: OutboxSession, rows: readonly ClaimedRow[]): Promise<void> {
    if (rows.length === 0) return;
    await session.remove(rows);
    const message =
      'rows of the outbox named events that a log has already; they were removed, and nothing relayed again';
    this.settings.onWarning(message, { rows: rows.length, first: rows[0]!.id });
  }

  /** Into the ring, in order. */
  private async append(session: OutboxSession, events: readonly ClaimedEvent[]): Promise<void> {
    const { ring, status } = this;
    for (let next = 0; next < events.length; ) {
      const count = ring.tryAppend(events, next);
      if (count instanceof Unrelayable) {
        await this.setAside(session, count.event, count.reason);
        next++;
        continue;
      }
      next += count;
      status.relayed += count;
      if (count > 0) this.mayHaveSettled = true;
      else if (this.isStopping) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
      else await pause(roomMs);
    }
  }

  private async setAside(session: OutboxSession, row: ClaimedEvent | ClaimedRow, reason: string): Promise<void> {
    await session.setAside(row, reason);
    this.status.setAside++;
    const { id, aggregateType, aggregateId, version, type }: Partial<ClaimedEvent> = row;
    const details = { reason, id, ...(type !== undefined && { aggregateType, aggregateId, version, type }) };
    this.settings.onWarning('an event of the outbox cannot be relayed, and was set aside', details);
  }

  private heldBack(held: number, heldBy: readonly string[]): void {
    const message = 'events of the outbox wait: other logs have earlier events of their aggregates to pass on';
    if (held > 0 && this.status.held === 0) this.settings.onWarning(message, { events: held, logs: heldBy });
    this.status.held = held;
  }

  /** The database has come back from an earlier state: batches, or what it has of this log, are behind what they were. */
  private async reconcile(session: OutboxSession): Promise<void> {
    const { ring, settings } = this;
    while (!ring.isEmpty && !this.isStopping) await pause(roomMs); // the log is asked: what it will have, it must have
    if (!ring.isEmpty) return;
    const done = await reconcile(session, this.log!, settings.control.position('written'), this.lastBatch);
    settings.onWarning('the outbox is an earlier state of itself; what the log has is not relayed again', { done });
    this.mayHaveSettled = true;
  }

  /** Rows go once everything that reads the log has passed them. */
  private async settle(session: OutboxSession): Promise<void> {
    const now = performance.now();
    if (!this.mayHaveSettled || now - this.settledAt < settleMs) return;
    const floor = this.settings.control.position('floor');
    const isPassed = this.ring.isPassed(floor);
    await session.settle(floor);
    this.settledAt = now;
    this.mayHaveSettled = !isPassed;
  }

  /** While the flusher is far behind, claimed rows would pile up in the outbox. */
  private async untilStored(): Promise<void> {
    while (this.ring.rowsUnderWay() >= rowsUnderWayLimit && !this.isStopping) await pause(roomMs);
  }

  private async failed(error: Error): Promise<void> {
    if (this.isStopping) return;
    this.status.state = 'retrying';
    this.status.lastError = error;
    this.onTried();
    this.settings.onError(error);
    await this.sleep(jittered(backoffMs(++this.failures, pauses)));
  }

  /** Until a hint, the stop, or so many milliseconds. */
  private sleep(forMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, forMs);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.isStopping) this.wakeUp();
    });
  }
}
