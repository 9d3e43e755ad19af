// The caller's side: sends commands to shards, and knows what is in flight. Lives in the thread that made the runtime. What
// comes back, `turns.ts` takes.
import { shardOf } from '../actor/actor.ts';
import type { AnyAggregate, SendOptions } from '../aggregate.ts';
import type { Bus } from '../bus/bus.ts';
import { checkId } from '../checks.ts';
import { monotonicMs } from '../clock.ts';
import { type Executed, isError, TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import { FrameKind, type FrameReader } from '../frame.ts';
import { metadataToJson } from '../limits.ts';
import { type Levels, LevelWord, logFull } from '../log/levels.ts';
import { argumentsJson } from '../payload.ts';
import { isMessageKey, type Level, type Receipt } from '../receipt.ts';
import type { RingConsumer } from '../ring/consumer.ts';
import { GroupFlag, GroupKind } from '../ring/ring.ts';
import type { Deliveries } from './deliveries.ts';
import type { CommandWrite, Line } from './line.ts';
import { Pending } from './pending.ts';
import { Progress } from './progress.ts';
import type { CommandSender } from './ref.ts';
import { Refusals, type Refused } from './refusals.ts';
import { checkSendOptions, keyOf } from './send-options.ts';
import { Slots } from './slots.ts';
import { Turns } from './turns.ts';

export interface CallerOptions {
  ack: Level;
  maxInFlight: number;
  whenFull: 'wait' | 'reject';
  logLimitBytes: number;
  /** Whether there is a stream, and so the level `published`. */
  hasStream: boolean;
  waitTimeoutMs: number;
}

/** How a command of another aggregate's is sent. */
export interface NamedSendOptions extends SendOptions {
  /** What `DeadlineExceeded` names: the deadline that was set, of which `deadlineMs` is what remains. */
  toldDeadlineMs?: number;
  /** It comes from an aggregate: see `admitInternal`. */
  isInternal: true;
  /** The aggregates that wait for its outcome: `Command.askers`. */
  askers?: string;
  /**
   * Its reply is in the log, with frames from this position on, its outcome among them: called in the turn in which that is
   * read, before anything counts as read.
   */
  onOutcome?: (position: number) => void;
}

const isClosing = (error: TrunklineError): boolean =>
  isError(error, 'RuntimeClosed') && error.details.state === 'closing';

/** A ring without a shard behind it. */
export interface OtherRing {
  groups: RingConsumer;
  frame: FrameReader;
  onGroup(ring: RingConsumer): void;
  /** Whether something waits for the end of a turn. */
  hasWaiting(): boolean;
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
  readonly slots: Slots<Pending>;
  readonly progress: Progress;
  readonly refusals: Refusals = new Refusals();
  private readonly turns: Turns;
  private readonly drained: (() => void)[] = [];

  /** `report` is told of an exception that nobody expects, and must not throw. */
  constructor(
    types: readonly AnyAggregate[],
    levels: Levels,
    bus: Bus,
    options: CallerOptions,
    report: (error: unknown) => void,
  ) {
    this.types = types;
    this.commandNames = types.map((type) => Object.keys(type.commands));
    this.levels = levels;
    this.options = options;
    this.slots = new Slots(options.maxInFlight, ({ isInternal }) => isInternal);
    this.progress = new Progress(levels, options.hasStream, this.refusals, options.waitTimeoutMs);
    this.turns = new Turns(this, levels, bus, report);
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

  /** It adds nothing to the log, and so needs no room there. */
  async read(typeIndex: number, commandIndex: number, id: string, options: SendOptions): Promise<Receipt<unknown>> {
    return this.dispatch(typeIndex, commandIndex, id, '[]', '', options, true);
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
    options: SendOptions | NamedSendOptions | undefined,
    isRead = false,
  ): Promise<Receipt<unknown>> {
    const named = options !== undefined && 'isInternal' in options ? options : undefined;
    const isInternal = named !== undefined;
    if (isInternal) this.admitInternal();
    else this.admit(isRead);
    if (options !== undefined && !isInternal) checkSendOptions(options, this.options.hasStream);
    const ack = options?.ack ?? this.options.ack;
    const key = options === undefined ? '' : keyOf(options);
    const isMessage = isMessageKey(key);
    const deadlineMs = options?.deadlineMs ?? 0;
    const askers = named?.askers ?? ''; // where other frames name the type: a command's goes by number
    const type = this.types[typeIndex]!.name;
    const line = this.lineOf(type, id);
    return new Promise((resolve, reject) => {
      const pending = new Pending(resolve, reject, ack, named?.toldDeadlineMs ?? deadlineMs, line, type, id);
      pending.isMessage = isMessage;
      pending.isInternal = isInternal;
      pending.onOutcome = named?.onOutcome;
      const slot = this.slots.add(pending);
      if (ack === 'raised') line.urgent++;
      const level =
        ack === 'raised'
          ? GroupFlag.urgent
          : ack === 'stored' || ack === 'published' || isMessage
            ? GroupFlag.stored
            : 0;
      const flags = level | (isInternal ? GroupFlag.internal : 0) | (isRead ? GroupFlag.read : 0);
      const deadlineAt = deadlineMs === 0 ? 0 : monotonicMs() + deadlineMs;
      const write: CommandWrite = (ring) => {
        ring.frame(FrameKind.message, typeIndex, deadlineAt, commandIndex, askers, id, key, metadataJson, inputJson);
        ring.publish(GroupKind.command, flags, slot, 0, '');
        pending.endOfGroup = ring.head;
      };
      try {
        if (!line.tryWrite(write)) {
          if (!isRead && this.options.whenFull === 'reject' && !isInternal && !line.dead) {
            throw new TrunklineError('RingFull', { ringBytes: line.commands.ringBytes });
          }
          pending.waiting = line.writeLater(write, (error) => this.drop(slot, pending, error));
        }
      } catch (error) {
        this.drop(slot, pending, error);
        return;
      }
      if (options !== undefined && (deadlineMs > 0 || options.signal)) this.watch(slot, pending, options);
    });
  }

  private lineOf(type: string, id: string): Line {
    return this.lines[shardOf(type, id, this.lines.length)]!;
  }

  /** The store has refused these: their actors go before any later command. */
  fence(refused: readonly Refused[]): void {
    for (const one of refused) {
      const { aggregateType: type, aggregateId: id } = one;
      const typeIndex = this.types.findIndex(({ name }) => name === type);
      if (typeIndex >= 0 && this.lines.length > 0) this.refusals.fences.add(typeIndex, one, this.lineOf(type, id));
    }
    this.deliveries?.fenced(refused);
  }

  /**
   * Whether a command of one aggregate to another may come in: it is part of what is under way already, or frees the log.
   * So it has a limit of its own, may use the log's reserve, and comes in while a closing runtime lets commands end.
   */
  private admitInternal(): void {
    if (this.closed && !isClosing(this.closed)) throw this.closed;
    if (this.slots.isReserveFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
  }

  /** Whether anything new of a user's may come in. */
  admit(isRead: boolean = false): void {
    if (this.closed) throw this.closed;
    if (this.slots.isFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
    if (!isRead && this.options.whenFull === 'reject' && this.levels.flag(LevelWord.full) !== 0) {
      throw logFull(this.levels, this.options.logLimitBytes);
    }
  }

  private watch(slot: number, pending: Pending, options: SendOptions): void {
    const giveUp = (error: (executed: Executed) => TrunklineError): void => {
      if (pending.isCarriedOut) return pending.fail(error('yes'));
      if (pending.endOfGroup === undefined) {
        // It waits for room in the ring: from here on it cannot come there any more, and so is not executed.
        if (pending.waiting) pending.line.withdraw(pending.waiting);
        this.drop(slot, pending, error('no'));
        this.settleDrained();
        return;
      }
      pending.fail(error('unknown'));
      pending.line.tell(
        (ring) => ring.publish(GroupKind.cancel, 0, slot, 0, ''),
        () => {},
      );
    };
    pending.watch(
      options,
      () => giveUp((executed) => new TrunklineError('DeadlineExceeded', { deadlineMs: pending.deadlineMs, executed })),
      () => giveUp((executed) => new TrunklineError('Aborted', { executed }, { cause: options.signal?.reason })),
    );
  }

  /** Look after everything that has happened since the last turn, then ask to be woken. Throws nothing. */
  turn(): void {
    this.turns.turn();
  }

  /** On the runtime's own account, without a bound. */
  reached(level: Level, position: number): Promise<void> {
    return this.progress.reached(level, position, undefined, 'own');
  }

  /** What was in flight is so no longer, and will not be executed. */
  private drop(slot: number, pending: Pending, error: unknown): void {
    if (pending.ack === 'raised') pending.line.urgent--;
    this.slots.remove(slot);
    pending.fail(error);
  }

  /** Tell who waits for that, if nothing is in flight. */
  settleDrained(): void {
    if (this.drained.length > 0 && this.inFlight === 0) for (const resolve of this.drained.splice(0)) resolve();
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
    this.refusals.fences.resend(dead, next);
    next.takeOver(dead);
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
    for (const line of this.lines) line.dropOverflow();
    for (const other of this.others) other.fail(error);
    this.progress.fail(error);
    for (const resolve of this.drained.splice(0)) resolve();
  }
}
