// The caller's side: sends commands to shards. Lives in the thread that made the runtime. `in-flight.ts` knows what has been
// sent and has no reply; what comes back, `turns.ts` takes. `dispatch.ts` puts them together.

import { checkId } from '../base/checks.ts';
import { monotonicMs } from '../base/clock.ts';
import type { Executed } from '../base/error-details.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import type { AnyAggregate, SendOptions } from '../model/aggregate.ts';
import { namesOf, storedTypeOf } from '../model/aggregate-names.ts';
import { isMessageKey, type Level, type Receipt } from '../model/receipt.ts';
import { shardOf } from '../shard/contract.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';
import { logFull } from '../shared/log-signals.ts';
import { GroupFlag, GroupKind } from '../shared/ring/ring.ts';
import { FrameKind } from '../wire/frame.ts';
import { metadataToJson } from '../wire/metadata.ts';
import { argumentsJson } from '../wire/payload.ts';
import { CommandTaps } from './command-taps.ts';
import type { Refused } from './fences.ts';
import { InFlight } from './in-flight.ts';
import type { NamedSender, NamedSendOptions } from './named-sender.ts';
import { Pending } from './pending.ts';
import { Progress } from './progress.ts';
import type { CommandSender } from './ref.ts';
import { Refusals } from './refusals.ts';
import { checkSendOptions, keyOf } from './send-options.ts';
import type { CommandWrite, ShardChannel } from './shard-channel.ts';
import type { Slots } from './slots.ts';
import type { StoreAnswers } from './store-answers.ts';

export interface DispatcherOptions {
  ack: Level;
  maxInFlight: number;
  whenFull: 'wait' | 'reject';
  logLimitBytes: number;
  /** Whether there is a stream, and so the level `published`. */
  hasStream: boolean;
  waitTimeoutMs: number;
  /** Where another log may have gone on. */
  isStoreElsewhere: boolean;
  /** The name that a stored aggregate type has today. */
  todaysType: (aggregateType: string) => string;
}

const isClosing = (error: TrunklineError): boolean =>
  isError(error, 'RuntimeClosed') && error.details.state === 'closing';

export class CommandDispatcher implements CommandSender, NamedSender {
  readonly refusals: Refusals = new Refusals();
  readonly progress: Progress;
  readonly inFlight: InFlight;
  private readonly types: readonly AnyAggregate[];
  /** Channels, fences and receipts go by these. */
  private readonly storedTypes: readonly string[];
  private readonly commandNames: readonly (readonly string[])[];
  private readonly control: ControlBlockWriter<'host'>;
  /** Those of `inFlight`: each command looks here. */
  private readonly channels: readonly ShardChannel[];
  private readonly slots: Slots<Pending>;
  private readonly options: Readonly<DispatcherOptions>;
  private readonly taps: CommandTaps;
  private whenFull: DispatcherOptions['whenFull'];

  constructor(
    types: readonly AnyAggregate[],
    control: ControlBlockWriter<'host'>,
    options: DispatcherOptions,
    answers: StoreAnswers,
    taps: CommandTaps = new CommandTaps(),
  ) {
    this.types = types;
    this.storedTypes = types.map(storedTypeOf);
    this.commandNames = types.map((type) => Object.keys(type.commands));
    this.control = control;
    this.options = options;
    this.taps = taps;
    this.whenFull = options.whenFull;
    this.progress = new Progress(control, options, this.refusals, answers);
    this.inFlight = new InFlight(options.maxInFlight, this.progress, this.refusals);
    this.channels = this.inFlight.channels;
    this.slots = this.inFlight.slots;
  }

  /** Whether what is new waits while there is no room for it, or is refused. */
  get rejectsWhenFull(): boolean {
    return this.whenFull === 'reject';
  }

  /** The flush policy has changed. */
  changeWhenFull(whenFull: DispatcherOptions['whenFull']): void {
    this.whenFull = whenFull;
  }

  /** Whether there is a stream, and so the level `published`. */
  get hasStream(): boolean {
    return this.options.hasStream;
  }

  /** Why nothing is admitted any more, if so. */
  get closed(): TrunklineError | undefined {
    return this.inFlight.closed;
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
    const typeIndex = this.types.findIndex((one) => namesOf(one).includes(type));
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
    const type = this.storedTypes[typeIndex]!;
    const channel = this.lineOf(type, id);
    return new Promise((resolve, reject) => {
      const pending = new Pending(resolve, reject, ack, named?.toldDeadlineMs ?? deadlineMs, channel, type, id);
      pending.isMessage = isMessage;
      pending.isInternal = isInternal;
      pending.onOutcome = named?.onOutcome;
      const { current: tap } = this.taps;
      if (tap !== undefined && !isRead && tap.wants(type, id)) {
        pending.tapped = { typeIndex, commandIndex, id, inputJson, metadataJson };
      }
      const slot = this.slots.add(pending);
      if (ack === 'raised') channel.ackOnRaiseBegins();
      const level =
        ack === 'raised'
          ? GroupFlag.ackOnRaise
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
        if (!channel.tryWrite(write)) {
          if (!isRead && this.rejectsWhenFull && !isInternal && !channel.isDead) {
            throw new TrunklineError('RingFull', { ringBytes: channel.commands.ringBytes });
          }
          pending.waiting = channel.writeLater(write, (error) => this.inFlight.drop(slot, pending, error));
        }
      } catch (error) {
        this.inFlight.drop(slot, pending, error);
        return;
      }
      if (options !== undefined && (deadlineMs > 0 || options.signal)) this.watch(slot, pending, options);
    });
  }

  private lineOf(type: string, id: string): ShardChannel {
    return this.channels[shardOf(type, id, this.channels.length)]!;
  }

  /** The store has refused these: their actors go before any later command. */
  fence(refused: readonly Refused[]): void {
    for (const one of refused) {
      const { aggregateType: type, aggregateId: id } = one;
      const typeIndex = this.storedTypes.indexOf(type);
      if (typeIndex >= 0 && this.channels.length > 0) this.refusals.fences.add(typeIndex, one, this.lineOf(type, id));
    }
  }

  /**
   * Whether a command of one aggregate to another may come in: it is part of what is in progress already, or frees the log.
   * So it has a limit of its own, may use the log's reserve, and comes in while a closing runtime lets commands end.
   */
  private admitInternal(): void {
    const { closed } = this.inFlight;
    if (closed && !isClosing(closed)) throw closed;
    if (this.slots.isReserveFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
  }

  /** Whether anything new of a user's may come in. */
  admit(isRead: boolean = false): void {
    const { closed } = this.inFlight;
    if (closed) throw closed;
    if (this.slots.isFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
    if (!isRead && this.rejectsWhenFull && this.control.flag(Signal.full) !== 0) {
      throw logFull(this.control, this.options.logLimitBytes);
    }
  }

  private watch(slot: number, pending: Pending, options: SendOptions): void {
    const giveUp = (error: (executed: Executed) => TrunklineError): void => {
      if (pending.isCarriedOut) return pending.fail(error('yes'));
      if (pending.endOfGroup === undefined) {
        // It waits for room in the ring: from here on it cannot come there any more, and so is not executed.
        if (pending.waiting) pending.channel.withdraw(pending.waiting);
        this.inFlight.drop(slot, pending, error('no'));
        this.inFlight.settleDrained();
        return;
      }
      pending.fail(error('unknown'));
      pending.channel.tell(
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

  /** On the runtime's own account, without a bound. */
  reached(level: Level, position: number): Promise<void> {
    return this.progress.reached(level, position, undefined, 'own');
  }
}
