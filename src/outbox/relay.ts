// The relay: what transactions of the user's own have committed, into this log, exactly once. Runs on the caller's thread,
// with a ring of its own; its work for an event is about that of publishing one.
//
// A group of frames enters the log whole or not at all, so its last frame, which says how far claimed rows have come
// (the place), is true whenever the log has it. A claim is durable before its events are in the ring. Hence, wherever a
// run ends: what is claimed and behind the last place in the log has to be appended, what is before it has not.
// The events are marked: the store, which has them, only notes their positions and deletes their rows (relayed.ts).
//
//   opening ─▶ standby (another runtime relays) ─▶ opening …
//      └─────▶ relaying ─▶ (any error: a pause) ─▶ opening …        stop() ends it between two claims
import { setTimeout as pause } from 'node:timers/promises';
import type { OtherRing } from '../caller/caller.ts';
import { isError, TrunklineError } from '../errors.ts';
import { FrameFlag, FrameKind, FrameReader } from '../frame.ts';
import { guarded } from '../guarded.ts';
import { writeIdText, writeNewId } from '../ids.ts';
import { eachFrame } from '../log/frames.ts';
import { type Levels, LevelWord } from '../log/levels.ts';
import type { LogSource } from '../log/log.ts';
import { Bell } from '../ring/bell.ts';
import { RingConsumer } from '../ring/consumer.ts';
import { RingProducer } from '../ring/producer.ts';
import { createRing, GroupKind, Word } from '../ring/ring.ts';
import {
  type ClaimedEvent,
  isBehind,
  nowhere,
  type Outbox,
  type OutboxSession,
  type Place,
  placeName,
  type RelayStatus,
} from './outbox.ts';

export interface RelaySettings {
  outbox: Outbox;
  levels: Levels;
  ringBytes: number;
  /** How often to look while nothing comes and nobody hints, milliseconds. */
  pollMs: number;
  onError(error: Error): void;
}

const claimLimit = 500;
const groupBytes = 256 << 10; // a group ends with the event that takes it there
const rowsUnderWayLimit = 10_000; // claimed and not yet deleted by the flusher
const standbyMs = 1000;
const retryMs = 100;
const retryMsLimit = 10_000;
const stopGraceMs = 1000; // then a statement under way is waited for no longer
const roomMs = 5; // how often to look for room in the ring, and whether the store has caught up

export class Relay {
  readonly ring: SharedArrayBuffer;
  /** For the caller, who is the ring's last reader: listeners hear the events once they are written. */
  readonly reading: OtherRing;
  readonly status: RelayStatus = { state: 'opening', relayed: 0, lastError: undefined };
  private readonly settings: RelaySettings;
  private readonly producer: RingProducer;
  private readonly logBell: Bell;
  private readonly stopping = new AbortController();
  private place: Place = nowhere;
  private groupsInRing = 0;
  /** Groups in the log whose rows the store has still to delete: last position, number of rows. */
  private underWay: { position: number; rows: number }[] = [];
  private readonly unwritten: number[] = [];
  private session: OutboxSession | undefined;
  private onTried: () => void = () => {};
  /** Resolves when the outbox has been opened, or could not be, for the first time. */
  readonly tried: Promise<void> = new Promise((resolve) => {
    this.onTried = resolve;
  });
  private failures = 0;
  private hinted = false;
  private wakeUp: () => void = () => {};
  private running: Promise<void> | undefined;

  constructor(settings: RelaySettings) {
    this.settings = settings;
    this.ring = createRing(settings.ringBytes);
    this.producer = new RingProducer(this.ring, () => false);
    this.logBell = new Bell(settings.levels.words, LevelWord.logBell);
    const groups = new RingConsumer(this.ring, Word.tail);
    this.reading = {
      groups,
      frame: new FrameReader(groups.bytes),
      onGroup: (ring) => this.written(ring),
      endTurn: () => {},
      fail: () => this.beginStop(),
      inFlight: () => this.groupsInRing,
    };
  }

  /** Find out how far the log is, from `from` (what the store has is behind it) up to its end; then begin. */
  start(log: LogSource, from: number, to: number): void {
    eachFrame(log, from, to, (frame) => {
      if (frame.kind === FrameKind.place && frame.name === placeName) this.place = JSON.parse(frame.dataJson) as Place;
    });
    this.running = this.run();
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
        this.session = await this.settings.outbox.open();
        if (this.session === undefined) status.state = 'standby';
        this.onTried();
        if (this.session === undefined) await this.sleep(standbyMs);
        else await this.relay(this.session);
      } catch (error) {
        await this.failed(error as Error);
      } finally {
        await this.session?.close();
      }
    }
    status.state = 'stopped';
  }

  private async relay(session: OutboxSession): Promise<void> {
    // What an earlier session has claimed, and perhaps not appended: its reply may have been lost.
    await this.append(await session.claimed(this.place));
    this.status.state = 'relaying';
    this.status.lastError = undefined;
    this.failures = 0;
    while (!this.isStopping) {
      this.hinted = false;
      const events = await session.claim(claimLimit);
      await this.append(events);
      if (events.length === 0 && !this.hinted) await this.sleep(this.settings.pollMs);
      await this.untilStored();
    }
  }

  /** Into the ring, in order, in groups that each end with the place they lead to. */
  private async append(events: readonly ClaimedEvent[]): Promise<void> {
    for (let next = 0; next < events.length; ) {
      const count = this.tryAppend(events, next);
      next += count;
      if (count > 0) continue;
      if (this.isStopping) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
      await pause(roomMs);
    }
  }

  /** How many events went into one group; 0 if there is no room for it now. */
  private tryAppend(events: readonly ClaimedEvent[], from: number): number {
    const { producer } = this;
    let next = from;
    try {
      while (next < events.length && producer.end - producer.start < groupBytes) this.writeEvent(events[next++]!);
      const { batch, sequence } = events[next - 1]!;
      const place: Place = { batch, sequence };
      const now = Date.now();
      const data = JSON.stringify(place);
      const offset = producer.frame(FrameKind.place, 1, now, 0, '', '', placeName, '', data);
      writeNewId(producer.frames.bytes, offset + 16, now);
      producer.publish(GroupKind.publish, 0, 0, 0, '');
      this.place = place;
    } catch (error) {
      producer.abandon();
      if (isError(error, 'RingFull')) return 0;
      throw error;
    }
    this.groupsInRing++;
    this.unwritten.push(next - from);
    this.status.relayed += next - from;
    this.logBell.ring();
    return next - from;
  }

  private writeEvent(event: ClaimedEvent): void {
    if (!isBehind(event, this.place)) throw new Error(`row ${event.sequence} of the outbox came a second time`);
    const { producer } = this;
    const offset = producer.frame(
      FrameKind.event,
      event.schemaVersion,
      event.occurredAt,
      event.version,
      event.aggregateType,
      event.aggregateId,
      event.type,
      event.metadataJson,
      event.dataJson,
    );
    writeIdText(producer.frames.bytes, offset + 16, event.id);
    producer.frames.addFlags(offset, FrameFlag.alreadyStored);
  }

  private written(ring: RingConsumer): void {
    this.groupsInRing--;
    this.underWay.push({ position: ring.firstPosition + ring.frameCount - 1, rows: this.unwritten.shift()! });
  }

  /** While the flusher is far behind, claimed rows would pile up in the outbox. */
  private async untilStored(): Promise<void> {
    for (;;) {
      const stored = this.settings.levels.position('stored');
      while (this.underWay.length > 0 && this.underWay[0]!.position <= stored) this.underWay.shift();
      let rows = 0;
      for (const group of this.underWay) rows += group.rows;
      for (const group of this.unwritten) rows += group;
      if (rows < rowsUnderWayLimit || this.isStopping) return;
      await pause(roomMs);
    }
  }

  private async failed(error: Error): Promise<void> {
    if (this.isStopping) return;
    this.status.state = 'retrying';
    this.status.lastError = error;
    this.onTried();
    this.settings.onError(error);
    const waitMs = Math.min(retryMsLimit, retryMs * 2 ** this.failures++);
    await this.sleep(waitMs * (0.5 + Math.random() / 2));
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
