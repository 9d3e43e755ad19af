// The caller's side: sends commands to shards, and takes what comes back. Lives in the thread that made the runtime.
//
// One turn, whenever something has been written: read each ring up to what the log has, release the replies that wait for
// `written`, hand events to the bus in log order, pass questions and messages on. Invariant 4 is kept here: nothing leaves
// a ring before the log thread has said `written`, save replies to callers that asked for `raised`.

import { shardOf } from '../actor/actor.ts';
import type { AnyAggregate, SendOptions } from '../aggregate.ts';
import type { Bus } from '../bus/bus.ts';
import { checkId } from '../checks.ts';
import { monotonicMs } from '../clock.ts';
import { type Executed, isError, TrunklineError } from '../errors.ts';
import { decodeEvent, type StoredEvent } from '../event.ts';
import { FrameKind, type FrameReader } from '../frame.ts';
import { metadataToJson } from '../limits.ts';
import { type Levels, LevelWord } from '../log/levels.ts';
import { argumentsJson } from '../payload.ts';
import { isMessageKey, type Level, type Receipt, type RepeatedReply } from '../receipt.ts';
import { Sleeper } from '../ring/bell.ts';
import type { RingConsumer } from '../ring/consumer.ts';
import { GroupFlag, GroupKind } from '../ring/ring.ts';
import { answerAsk } from './answers.ts';
import type { Deliveries } from './deliveries.ts';
import type { CommandWrite, Line } from './line.ts';
import { Pending } from './pending.ts';
import { Progress } from './progress.ts';
import { CommandReceipt, RepeatedReceipt } from './receipt.ts';
import type { CommandSender } from './ref.ts';
import { Refusals } from './refusals.ts';
import { replyError } from './reply-error.ts';
import { checkSendOptions } from './send-options.ts';
import { Slots } from './slots.ts';

export interface CallerOptions {
  ack: Level;
  maxInFlight: number;
  whenFull: 'wait' | 'reject';
  logLimitBytes: number;
  /** Whether there is a stream, and so the level `published`. */
  hasStream: boolean;
}

/** How a command of another aggregate's is sent. */
export interface NamedSendOptions extends SendOptions {
  /** What `DeadlineExceeded` names: the deadline that was set, of which `deadlineMs` is what remains. */
  toldDeadlineMs?: number;
}

/** A ring without a shard behind it. */
export interface OtherRing {
  groups: RingConsumer;
  frame: FrameReader;
  onGroup(ring: RingConsumer): void;
  endTurn(): void;
  fail(error: TrunklineError): void;
  inFlight(): number;
}

export class Caller implements CommandSender {
  options: CallerOptions;
  /** Why nothing is admitted any more, if so. */
  closed: TrunklineError | undefined;
  readonly lines: Line[] = [];
  /** Further rings whose last reader this thread is: its own, and those of shards that have died. */
  readonly others: Set<OtherRing> = new Set();
  deliveries: Deliveries | undefined;
  /** Events of an aggregate from a version on, so many at most, once everything written is stored. */
  eventsFrom: (type: string, id: string, version: number, count: number) => Promise<StoredEvent[]> = async () => [];
  private readonly types: readonly AnyAggregate[];
  private readonly commandNames: readonly (readonly string[])[];
  private readonly levels: Levels;
  private readonly bus: Bus;
  private readonly slots: Slots<Pending>;
  private readonly sleeper: Sleeper;
  readonly progress: Progress;
  readonly refusals: Refusals = new Refusals();
  private heard: StoredEvent[] = [];
  private readonly drained: (() => void)[] = [];

  constructor(types: readonly AnyAggregate[], levels: Levels, bus: Bus, options: CallerOptions) {
    this.types = types;
    this.commandNames = types.map((type) => Object.keys(type.commands));
    this.levels = levels;
    this.bus = bus;
    this.options = options;
    this.slots = new Slots(options.maxInFlight);
    this.progress = new Progress(levels, options.hasStream, this.refusals);
    this.sleeper = new Sleeper(levels.words, LevelWord.callerBell);
  }

  get inFlight(): number {
    let count = this.slots.count;
    for (const other of this.others) count += other.inFlight();
    return count;
  }

  /** A command by number, from a ref: input as the user gave it. */
  send(
    typeIndex: number,
    commandIndex: number,
    id: string,
    input: unknown[],
    options: SendOptions | undefined,
  ): Promise<Receipt<unknown>> {
    try {
      const inputJson = argumentsJson(input);
      const metadataJson = options?.metadata === undefined ? '' : metadataToJson(options.metadata);
      return this.dispatch(typeIndex, commandIndex, id, inputJson, metadataJson, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A command by name, from another aggregate: input as JSON already. */
  sendNamed(
    type: string,
    command: string,
    id: string,
    inputJson: string,
    metadataJson: string,
    options: NamedSendOptions,
  ): Promise<Receipt<unknown>> {
    const typeIndex = this.types.findIndex(({ name }) => name === type);
    if (typeIndex < 0) {
      const known = this.types.map(({ name }) => name);
      return Promise.reject(new TrunklineError('UnknownAggregateType', { aggregateType: type, known }));
    }
    const known = this.commandNames[typeIndex]!;
    const commandIndex = known.indexOf(command);
    if (commandIndex < 0) {
      return Promise.reject(new TrunklineError('UnknownCommand', { aggregateType: type, command, known: [...known] }));
    }
    try {
      checkId('aggregate id', id);
      return this.dispatch(typeIndex, commandIndex, id, inputJson, metadataJson, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private dispatch(
    typeIndex: number,
    commandIndex: number,
    id: string,
    inputJson: string,
    metadataJson: string,
    options: NamedSendOptions | undefined,
  ): Promise<Receipt<unknown>> {
    this.admit();
    if (options !== undefined) checkSendOptions(options, this.options.hasStream);
    const ack = options?.ack ?? this.options.ack;
    const key = options?.idempotencyKey ?? '';
    const isMessage = isMessageKey(key);
    const deadlineMs = options?.deadlineMs ?? 0;
    const line = this.lines[shardOf(this.types[typeIndex]!.name, id, this.lines.length)]!;
    return new Promise((resolve, reject) => {
      const pending = new Pending(resolve, reject, ack, options?.toldDeadlineMs ?? deadlineMs, line);
      if (key !== '' && !isMessage) pending.aggregate = { type: this.types[typeIndex]!.name, id };
      const slot = this.slots.add(pending);
      const urgent = ack === 'raised' ? GroupFlag.urgent : 0;
      const deadlineAt = deadlineMs === 0 ? 0 : monotonicMs() + deadlineMs;
      const write: CommandWrite = (ring) => {
        ring.frame(FrameKind.message, typeIndex, deadlineAt, commandIndex, '', id, key, metadataJson, inputJson);
        ring.publish(GroupKind.command, urgent, slot, 0, '');
        pending.endOfGroup = ring.head;
      };
      try {
        if (!line.tryWrite(write)) {
          if (this.options.whenFull === 'reject' && !line.dead) {
            throw new TrunklineError('RingFull', { ringBytes: line.commands.ringBytes });
          }
          line.writeLater(write, (error) => {
            if (urgent !== 0) pending.line.urgent--;
            this.slots.remove(slot);
            pending.fail(error);
          });
        }
      } catch (error) {
        this.slots.remove(slot);
        reject(error);
        return;
      }
      if (urgent !== 0) line.urgent++;
      if (options !== undefined && (deadlineMs > 0 || options.signal)) this.watch(slot, pending, options);
    });
  }

  /** Whether anything new may come in. */
  admit(): void {
    if (this.closed) throw this.closed;
    if (this.slots.isFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
    if (this.options.whenFull === 'reject' && this.levels.flag(LevelWord.full) !== 0) {
      const usedBytes = this.levels.position('usedBytes');
      throw new TrunklineError('LogFull', { usedBytes, limitBytes: this.options.logLimitBytes });
    }
  }

  private watch(slot: number, pending: Pending, options: SendOptions): void {
    const giveUp = (error: (executed: Executed) => TrunklineError): void => {
      if (pending.isCarriedOut) return pending.fail(error('yes'));
      pending.fail(error(pending.endOfGroup === undefined ? 'no' : 'unknown'));
      const { line } = pending;
      const cancel: CommandWrite = (ring) => ring.publish(GroupKind.cancel, 0, slot, 0, '');
      if (!line.dead && !line.tryWrite(cancel)) line.writeLater(cancel, () => {});
    };
    pending.watch(
      options,
      () => giveUp((executed) => new TrunklineError('DeadlineExceeded', { deadlineMs: pending.deadlineMs, executed })),
      () => giveUp((executed) => new TrunklineError('Aborted', { executed }, { cause: options.signal?.reason })),
    );
  }

  /** Look after everything that has happened since the last turn, then ask to be woken. */
  turn(): void {
    this.sleeper.rise();
    do {
      if (this.levels.flag(LevelWord.poisoned) !== 0) {
        // Whatever the rings hold: once a write or a sync has failed, nothing is acknowledged any more.
        this.fail(this.closed ?? new TrunklineError('LogPoisoned', { cause: 'a write or a sync of the log failed' }));
        return;
      }
      // Read once per pass: groups behind it wait for the next pass, so that the bus hears events in log order.
      const written = this.levels.position('written');
      for (const line of this.lines) {
        if (line.urgent > 0) this.scoutAhead(line);
        this.read(line.groups, line.frame, written, line);
      }
      for (const other of this.others) this.read(other.groups, other.frame, written, undefined, other.onGroup);
      this.tellBus();
      this.deliveries?.settledUpTo(written);
      this.progress.advance();
      for (const line of this.lines) line.flushOverflow();
      for (const other of this.others) other.endTurn();
    } while (!this.sleeper.arm(() => this.hasWork()));
    if (this.inFlight === 0) for (const resolve of this.drained.splice(0)) resolve();
  }

  private hasWork(): boolean {
    for (const { groups, scout, urgent } of this.lines) {
      if (groups.written() !== groups.cursor) return true;
      if (urgent > 0 && scout.published() !== scout.cursor) return true;
    }
    for (const { groups } of this.others) if (groups.written() !== groups.cursor) return true;
    return this.progress.hasMoved() || (this.inFlight > 0 && this.levels.flag(LevelWord.poisoned) !== 0);
  }

  private read(
    ring: RingConsumer,
    frame: FrameReader,
    written: number,
    line: Line | undefined,
    onGroup?: (ring: RingConsumer) => void,
  ): void {
    const limit = ring.written();
    if (limit === ring.cursor) return;
    while (ring.take(limit)) {
      if (ring.firstPosition + ring.frameCount - 1 > written) {
        ring.untake();
        break;
      }
      if ((ring.flags & GroupFlag.messages) !== 0 || !this.bus.isIdle) this.readFrames(ring, frame);
      if (onGroup) onGroup(ring);
      else if (ring.kind === GroupKind.reply) this.settle(ring);
      else if (ring.kind === GroupKind.ask && line) answerAsk(this, line, ring.slot, frame.at(ring.framesStart));
    }
    ring.release();
  }

  private readFrames(ring: RingConsumer, frame: FrameReader): void {
    frame.at(ring.framesStart);
    for (let i = 0; i < ring.frameCount; i++) {
      const position = ring.firstPosition + i;
      if (frame.kind === FrameKind.event) {
        if (this.bus.wants(frame.aggregateType, frame.name)) this.heard.push(decodeEvent(frame, position));
      } else if (frame.kind === FrameKind.message) {
        this.deliveries?.add(frame, position);
      }
      frame.at(frame.next);
    }
  }

  private tellBus(): void {
    if (this.heard.length === 0) return;
    const { heard } = this;
    this.heard = [];
    heard.sort((a, b) => a.position - b.position);
    for (const event of heard) this.bus.emit(event);
    this.bus.endTurn();
  }

  /** A reply that is in the log. */
  private settle(ring: RingConsumer): void {
    const { slot } = ring;
    const pending = this.slots.get(slot);
    if (pending === undefined) return;
    this.slots.remove(slot);
    if (pending.ack === 'raised') pending.line.urgent--;
    if (pending.raised) pending.raised.written(ring.firstPosition);
    if (pending.answered) return;
    this.answer(pending, ring, ring.firstPosition);
  }

  /** Replies to callers that wait for `raised` only: they need not wait for the log. */
  private scoutAhead(line: Line): void {
    const { scout, groups } = line;
    if (((groups.cursor - scout.cursor) | 0) > 0) scout.cursor = groups.cursor;
    const limit = scout.published();
    while (scout.take(limit)) {
      if (scout.kind !== GroupKind.reply || (scout.flags & GroupFlag.urgent) === 0) continue;
      const pending = this.slots.get(scout.slot);
      if (pending && !pending.answered) this.answer(pending, scout, 0);
    }
  }

  private answer(pending: Pending, ring: RingConsumer, firstPosition: number): void {
    if ((ring.flags & (GroupFlag.value | GroupFlag.nothing)) === 0) {
      pending.fail(replyError(ring, pending.deadlineMs));
      return;
    }
    const receipt = new CommandReceipt(ring, firstPosition, this.progress);
    if ((ring.flags & GroupFlag.repeated) !== 0) {
      pending.succeedWith(this.repeated(pending, receipt));
    } else if (firstPosition === 0) {
      pending.raised = receipt;
      pending.succeed(receipt);
    } else if (pending.ack === 'written' || pending.ack === 'raised') {
      pending.succeed(receipt);
    } else {
      pending.succeedWith(receipt.whenAt(pending.ack).then(() => receipt));
    }
  }

  /** The receipt of an outcome that an earlier command had: its events come from the store. */
  private async repeated(pending: Pending, receipt: CommandReceipt): Promise<Receipt<unknown>> {
    const { value, events: count } = receipt.value as RepeatedReply;
    const from = receipt.version - count + 1;
    const { aggregate } = pending;
    const events = aggregate && count > 0 ? await this.eventsFrom(aggregate.type, aggregate.id, from, count) : [];
    const repeated = new RepeatedReceipt(value, receipt.version, events, receipt.lastPosition, this.progress);
    await repeated.reached(pending.ack);
    return repeated;
  }

  reached(level: Level, position: number, signal: AbortSignal | undefined): Promise<void> {
    return this.progress.reached(level, position, signal);
  }

  /** Resolves when nothing is in flight. */
  whenDrained(): Promise<void> {
    if (this.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.drained.push(resolve));
  }

  /** A shard has died and its ring has been read to the end: whoever still waits for it is told what is known. */
  failLine(line: Line, reason: string): void {
    line.dead = true;
    for (const [slot, pending] of this.slots.entries()) {
      if (pending.line !== line || pending.endOfGroup === undefined) continue;
      this.slots.remove(slot);
      const taken = line.hasTaken(pending.endOfGroup);
      pending.fail(new TrunklineError(taken ? 'OutcomeUnknown' : 'NotExecuted', { reason }));
    }
  }

  /** Close waits no longer, the shards have ended and their rings have been read: tell whoever is left what is known. */
  abandon(reason: string): void {
    for (const line of this.lines) this.failLine(line, reason);
    for (const [slot, pending] of this.slots.entries()) {
      this.slots.remove(slot);
      pending.fail(new TrunklineError('NotExecuted', { reason }));
    }
  }

  /** What never reached the dead shard's ring goes to its successor. */
  replaceLine(dead: Line, next: Line): void {
    for (const [, pending] of this.slots.entries()) {
      if (pending.line !== dead) continue;
      pending.line = next;
      if (pending.ack === 'raised') next.urgent++;
    }
    for (const { write, fail } of dead.takeOverflow()) next.writeLater(write, fail);
    this.lines[next.shard] = next;
    next.flushOverflow();
  }

  /** Nothing will be acknowledged any more. */
  fail(error: TrunklineError): void {
    if (this.closed === undefined || isError(this.closed, 'RuntimeClosed')) this.closed = error;
    for (const [slot, pending] of this.slots.entries()) {
      this.slots.remove(slot);
      pending.fail(error);
    }
    for (const other of this.others) other.fail(error);
    this.progress.fail(error);
    for (const resolve of this.drained.splice(0)) resolve();
  }
}
