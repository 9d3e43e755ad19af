// The log thread: sole owner of the log's environment. Drains every ring into a chunk, commits it without fsync,
// publishes to each ring how far it has come, and wakes the threads that sleep. Blocks when there is nothing to do;
// never serves an event loop.
//
// Invariants: a group enters the log whole or not at all; positions follow each other without a gap; `written` moves only
// after the commit, and only once the rings let everything up to it be read; after a failed write nothing is acknowledged
// any more.

import { receiveMessageOnPort } from 'node:worker_threads';
import { performance } from '../base/clock.ts';
import { closeSync, fdatasyncSync } from '../base/disk.ts';
import { isError } from '../base/errors.ts';
import { openPrivate } from '../base/private-file.ts';
import { runThread, threadData, threadPort } from '../base/thread-entry.ts';
import { toWire } from '../base/wire-error.ts';
import { ControlBlockWriter, publishRecovered, Signal, StopStage } from '../shared/control-block.ts';
import { countOpening, LogRoom, takeInbox } from '../shared/log-signals.ts';
import type { Notifier, Parker } from '../shared/notifier.ts';
import { AdaptiveSpin } from '../shared/ring/adaptive-spin.ts';
import { RingConsumer } from '../shared/ring/consumer.ts';
import { Word } from '../shared/ring/ring.ts';
import { ChunkBuilder } from './chunk.ts';
import { LogWriter } from './lmdb.ts';
import type { LogThreadData, LogThreadMessage, LogThreadReport } from './log.ts';
import { recoverLog } from './recovery.ts';
import { Retention } from './retention.ts';

const data = threadData<LogThreadData>();
const report = (message: LogThreadReport): void => threadPort.postMessage(message);

// An idle thread looks at its flags that often, in case a wake-up was missed by a defect. Rests on nothing finer than
// "unnoticeable in CPU time, bearable as a delay".
const idleBoundMs = 1000;
// After work it looks sooner for a while, and naps meanwhile (see notifier.ts).
const busyBoundMs = 1;
const busyForMs = 100;
// While the log is full: how often to look whether the cursors have moved on.
const fullBoundMs = 5;
// A wake-up of an event loop costs about as much as a small commit, on either side.
const commitsPerWakeUp = 4;
// Halfway between what is retained and what users may fill: from here on messages hold no more of the log than they must.
const wantsRoomFromBytes = (data.retainBytes + data.admitBytes) / 2;
// While the disk is short: pages that truncation gives back are of use from the second commit on, and what is ahead must do until then.
const shortBatchBytes = 64 << 10;
const retains = data.retainBytes > 0 || data.retainMs > 0;
const truncationsPerTurn = 256; // chunks; keeps one delete transaction at about a millisecond

async function main(): Promise<void> {
  const control = new ControlBlockWriter('log', data.controlBlock);
  const recovered = await recoverLog({ folder: data.folder, mapBytes: data.mapBytes, bootId: data.bootId, control });
  const writer = LogWriter.open(data.folder, data.mapBytes, control);
  // A killed run may have left its last commits in the page cache only; no sink may see them before a sync.
  const dataFile = openPrivate(writer.dataFile, 'write');
  fdatasyncSync(dataFile);
  closeSync(dataFile);
  publishRecovered(control, recovered.nextPosition);
  const { report: recovery, floor, lost, identity } = recovered;
  report({ type: 'ready', recovery, floor, lost, logId: identity.logId, dataFile: writer.dataFile });
  try {
    new LogThread(control, writer, recovered).run();
  } catch (error) {
    control.setFlag(Signal.writeFailed, 1);
    report({ type: 'poisoned', cause: String(error) });
  }
  await writer.close();
}

class LogThread {
  private readonly control: ControlBlockWriter<'log'>;
  private readonly writer: LogWriter;
  private readonly builder: ChunkBuilder;
  private readonly retention: Retention;
  private readonly parker: Parker;
  private readonly spin: AdaptiveSpin = new AdaptiveSpin();
  private readonly hostNotifier: Notifier;
  private readonly syncNotifier: Notifier;
  private rings: { key: number; ring: RingConsumer }[] = [];
  private first = 0;
  private nextPosition: number;
  /** Bytes committed, and commits that have not been signalled to the host thread. */
  private committedBytes = 0;
  private unsignalled = 0;
  private workedAt = 0;
  private diskIsFull = false;

  constructor(
    control: ControlBlockWriter<'log'>,
    writer: LogWriter,
    recovered: Awaited<ReturnType<typeof recoverLog>>,
  ) {
    this.control = control;
    this.writer = writer;
    this.builder = new ChunkBuilder(recovered.identity, recovered.previousCrc, data.batchBytesLimit, data.groupLimit);
    this.retention = new Retention(data.retainMs, data.retainBytes);
    this.nextPosition = recovered.nextPosition;
    this.parker = control.parker();
    this.hostNotifier = control.notifier(Signal.hostNotifier, threadPort);
    this.syncNotifier = control.notifier(Signal.syncNotifier);
  }

  run(): void {
    const hasWork = (): boolean => this.hasWork();
    for (;;) {
      if (this.control.flag(Signal.logInbox) !== 0) this.takeInbox();
      if (this.makeRoom() === 0) {
        this.tellHost();
        this.parker.block(() => false, fullBoundMs);
      } else if (this.drain()) {
        this.truncate();
        continue;
      }
      if (this.control.flag(Signal.stopping) >= StopStage.log) {
        // A full log whose cursors stand still takes nothing more: what the rings hold was never acknowledged.
        if (!this.ringsHaveWork() || this.control.flag(Signal.abandoned) !== 0) return;
      }
      if (this.spin.look(hasWork, this.control.flag(Signal.spinMicros))) continue;
      if (this.truncate()) continue;
      this.sleep(hasWork);
    }
  }

  /** Take what the rings hold, commit it as one chunk, acknowledge. False if there was nothing. */
  private drain(): boolean {
    if (this.control.flag(Signal.syncFailed) !== 0) throw new Error('a sync has failed');
    const { builder, rings } = this;
    const wantedBytes = this.control.flag(Signal.batchBytes);
    const batchBytes = this.writer.isShort ? Math.min(wantedBytes, shortBatchBytes) : wantedBytes;
    builder.begin(this.nextPosition);
    let position = this.nextPosition;
    let taken = false;
    // Start with another ring each time, so that a busy one cannot keep the others waiting behind a full chunk.
    this.first = rings.length === 0 ? 0 : (this.first + 1) % rings.length;
    for (let i = 0; i < rings.length; i++) {
      const { ring } = rings[(this.first + i) % rings.length]!;
      const limit = ring.published();
      while (builder.bytes < batchBytes && ring.take(limit)) {
        taken = true;
        ring.firstPosition = position;
        const frames = ring.frameCount;
        if (frames > 0) builder.add(ring.bytes, ring.framesStart, ring.framesStart + ring.framesBytes, frames);
        position += frames;
      }
    }
    if (!taken) return false;
    this.workedAt = performance.now();
    if (builder.frames > 0) {
      this.append();
      this.control.publish('appended', position - 1);
    }
    // Order matters: publish `appended`, then the rings' counters, then `written`. A reader that sees `written = p` must find
    // every group up to p in its ring; a shard that sees a group in its ring must find `appended` at or beyond it.
    for (const { ring } of rings) if (ring.cursor !== ring.written()) ring.publishWritten();
    if (builder.frames > 0) {
      this.nextPosition = position;
      this.control.publish('written', position - 1);
      this.syncNotifier.notify();
    }
    // While there is more to take, one wake-up tells the host thread of several commits.
    if (++this.unsignalled >= commitsPerWakeUp || !this.ringsHaveWork()) this.tellHost();
    return true;
  }

  /** Before the thread waits for anything, the host thread knows of every commit. */
  private tellHost(): void {
    if (this.unsignalled === 0) return;
    this.unsignalled = 0;
    this.hostNotifier.notify();
  }

  /** Commit the builder's chunk; while the map is full, wait for truncation. */
  private append(): void {
    const chunk = this.builder.seal(this.floor());
    for (;;) {
      try {
        this.writer.append(this.builder.firstPosition, chunk);
        this.committedBytes += chunk.length;
        this.control.publish('committedBytes', this.committedBytes);
        return;
      } catch (error) {
        if (!isError(error, 'LogFull') || this.control.flag(Signal.abandoned) !== 0) throw error;
        this.sayDiskFull(error.details.diskIsFull);
        this.control.setFlag(Signal.full, LogRoom.reserve);
        this.tellHost();
        this.sayHeld();
        if (!this.truncate(true)) this.parker.block(() => false, fullBoundMs);
      }
    }
  }

  private sayDiskFull(isFull: boolean): void {
    if (this.diskIsFull === isFull) return;
    this.diskIsFull = isFull;
    this.control.publish('usedBytes', this.writer.usedBytes);
    this.control.setFlag(Signal.diskFull, isFull ? 1 : 0);
    report({ type: 'disk', isFull });
  }

  /** A database that comes back from an earlier state is refilled from what is retained: its users must know when it is not. */
  private sayRetention(isGivenUp: boolean, fromPosition: number, toPosition: number): void {
    const { control } = this;
    if (!retains || isGivenUp === (control.flag(Signal.retentionGivenUp) !== 0)) return;
    control.setFlag(Signal.retentionGivenUp, isGivenUp ? 1 : 0);
    report({ type: 'retention', isGivenUp, fromPosition, toPosition });
  }

  /** Messages hold what no sink needs, and the log wants that room: the caller keeps them in the message box (`relief.ts`). */
  private sayHeld(): void {
    const { control } = this;
    const isHeld =
      this.writer.usedBytes >= wantsRoomFromBytes && control.position('settled') + 1 < control.position('floor');
    if (isHeld === (control.flag(Signal.heldByMessages) !== 0)) return;
    control.setFlag(Signal.heldByMessages, isHeld ? 1 : 0);
    this.hostNotifier.notify();
  }

  private floor(): number {
    return Math.min(this.control.position('floor'), this.control.position('settled') + 1);
  }

  /** Truncate if it must be; returns the bytes that are left. Says `full` while only begun commands may have them. */
  private makeRoom(): number {
    const waitingBytes = this.control.flag(Signal.waitingKib) * 1024;
    if (this.writer.usedBytes + waitingBytes >= data.admitBytes) this.truncate(true);
    this.sayHeld();
    const { usedBytes } = this.writer;
    const countedBytes = usedBytes + waitingBytes;
    const reserveFrom = data.admitBytes + (data.maxBytes - data.admitBytes) / 4;
    const { plenty, admitted, reserve } = LogRoom;
    const flag = countedBytes >= reserveFrom ? reserve : countedBytes >= data.admitBytes ? admitted : plenty;
    const before = this.control.flag(Signal.full);
    if (before !== flag) {
      this.control.publish('usedBytes', countedBytes);
      this.control.setFlag(Signal.full, flag);
      if (flag < before) countOpening(this.control);
      this.hostNotifier.notify();
    }
    this.sayDiskFull(false); // nothing waits for it here; not before users are let in
    return Math.max(0, data.maxBytes - usedBytes);
  }

  /** While it naps, shards do not ring for every single command; once it sleeps, each of them does. */
  private sleep(hasWork: () => boolean): void {
    if (performance.now() - this.workedAt < busyForMs) this.parker.nap(hasWork, busyBoundMs);
    else this.parker.block(hasWork, this.control.flag(Signal.full) === 0 ? idleBoundMs : fullBoundMs);
  }

  /**
   * Give back what every cursor has passed. True if something went. The retention keeps some of it, while there is room: a
   * log that is nearly full, or short of disk, keeps nothing that no cursor needs.
   */
  private truncate(isFull = false): boolean {
    const { writer, retention } = this;
    const { isShort, usedBytes, firstPosition } = writer;
    if (!isShort) this.sayRetention(false, firstPosition, this.nextPosition - 1);
    if (!isFull && !retention.isDue(usedBytes, isShort)) return false;
    const needed = this.floor();
    const keepsNothing = isFull || isShort;
    const below = keepsNothing ? needed : retention.floor(needed, writer, this.nextPosition);
    const keptBytes = keepsNothing ? 0 : data.retainBytes;
    const hasGone = below > firstPosition && writer.truncateBelow(below, truncationsPerTurn, keptBytes) > 0;
    if (isShort && hasGone) this.sayRetention(true, firstPosition, below - 1);
    if (!hasGone) retention.rest();
    return hasGone;
  }

  private ringsHaveWork(): boolean {
    return this.rings.some(({ ring }) => ring.published() !== ring.cursor);
  }

  private hasWork(): boolean {
    if (this.ringsHaveWork() || this.control.flag(Signal.logInbox) !== 0) return true;
    return this.control.flag(Signal.stopping) >= StopStage.log;
  }

  private takeInbox(): void {
    takeInbox(this.control); // first: a message is in its port before it is announced
    for (let next = receiveMessageOnPort(threadPort); next; next = receiveMessageOnPort(threadPort)) {
      const message = next.message as LogThreadMessage;
      if (message.type === 'attach') {
        this.rings.push({ key: message.key, ring: new RingConsumer(message.ring, Word.written) });
      } else {
        while (this.rings.some(({ key, ring }) => key === message.key && ring.published() !== ring.cursor))
          this.drain();
        this.rings = this.rings.filter(({ key }) => key !== message.key);
        report({ type: 'detached', key: message.key });
      }
    }
  }
}

runThread(() =>
  main().catch((error: unknown) => {
    report({ type: 'failed', error: toWire(error, { aggregateType: '', command: 'start the log' }) });
  }),
);
