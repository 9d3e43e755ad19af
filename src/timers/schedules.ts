// Commands that come again and again: `runtime.schedule`. Each slot of a schedule is a message with an id made of the schedule's name
// and the slot, so it is executed once, over kills and restarts; which slot was the last one, a table on this machine keeps. Host thread.
//
// Invariant: the next slot follows from the slot, and not from when that was executed.
import { createHash } from 'node:crypto';
import { checkId, invalid, nameFault, nameOfDefinition } from '../base/checks.ts';
import { dateMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { checked, number, object } from '../base/json.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import type { Logger } from '../base/logger.ts';
import { NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { pauseUnless } from '../base/on-abort.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { recordAt } from '../handler-state/records.ts';
import { SerialChanges } from '../handler-state/serial-changes.ts';
import type { AnyAggregate, Sender } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import { commandMethods } from '../shard/execution.ts';
import { idToText } from '../wire/ids.ts';
import type { Message } from '../wire/message.ts';
import { argumentsJson } from '../wire/payload.ts';
import { scheduleSender } from '../wire/timer.ts';
import { type Slots, slotsOf } from './cron.ts';
import type { TimerDelivery } from './timers.ts';

const table = 'schedules';
const lookAgainMs = 1_000;
const noRoomMs = 10;

/** When a schedule is due. */
export interface ScheduleOptions {
  /** Minute, hour, day of the month, month, day of the week; six fields begin with seconds. As croner reads it. */
  cron: string;
  /** By the clock of this zone, a name of the tz database; default: the machine's. */
  timeZone?: string | undefined;
  /**
   * Of slots that passed while no service ran, or while the command of an earlier one was executed: `once`: the last of them, at once;
   * `all`: each, one after the other; `skip`: none. Default `once`.
   */
  missed?: 'once' | 'all' | 'skip' | undefined;
}

/** The aggregate that gets the command of a slot, as in `call.send`. */
export type ScheduleTarget = <A extends AnyAggregate>(aggregate: A, id: string) => Sender<A>;

/** A schedule that runs; see `runtime.schedule`. */
export interface Schedule {
  readonly name: string;
  /** The slot that is due next, or executed now; undefined: no further one comes. */
  readonly next: Date | undefined;
  /** No further slot begins in this run of the service. */
  stop(): void;
}

export interface SchedulesParts {
  readonly delivery: TimerDelivery;
  readonly tables: StateTables;
  readonly logger: Logger;
  /** @throws UnknownAggregateType */
  definition(name: string): AnyAggregate;
  /** How far the log is written. */
  position(): number;
}

type Missed = NonNullable<ScheduleOptions['missed']>;
type Act = (to: ScheduleTarget, slot: Date) => void;

/** When a schedule is due, and what it sends. */
interface Plan {
  readonly slots: Slots;
  readonly missed: Missed;
  readonly act: Act;
}

const fields = fieldsOf<ScheduleOptions>({ cron: 'text', timeZone: 'text', missed: 'text' });
const doneShape = object<{ doneMs: number }>({ doneMs: number });
const doneIn = (value: unknown): { doneMs: number } => checked(value, doneShape, 'the last slot of a schedule');

/** Commands by the clock; see `runtime.schedule`. */
export class Schedules {
  private readonly parts: SchedulesParts;
  private readonly running = new Map<string, Running>();
  private isClosed = false;

  /** @internal */
  constructor(parts: SchedulesParts) {
    this.parts = parts;
  }

  /**
   * A command that comes again and again, by the clock: each slot is executed once, over kills and restarts. The next slot follows from
   * the slot. Two data directories have two sets of schedules.
   *
   * ```ts
   * const nightly = { cron: '30 2 * * *', timeZone: 'Europe/Berlin', missed: 'once' } as const;
   * await runtime.schedule('nightly', nightly, (to, slot) => to(Report, 'daily').run(slot.toISOString()));
   * ```
   * @throws InvalidOptions, RuntimeClosed (as rejections)
   */
  async start(name: string, options: ScheduleOptions, act: Act): Promise<Schedule> {
    const fault = nameFault(name, NAME_BYTES_LIMIT);
    if (fault !== undefined) invalid('name', name, fault);
    checkFields('schedule', options, fields);
    const { cron, timeZone, missed = 'once' } = options;
    if (typeof cron !== 'string') invalid('cron', cron, 'must be a cron pattern');
    if (!['once', 'all', 'skip'].includes(missed)) invalid('missed', missed, "must be 'once', 'all' or 'skip'");
    if (typeof act !== 'function') invalid('act', act, 'must be a function that gives the command');
    const slots = await slotsOf(cron, timeZone);
    if (this.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    if (this.running.has(name)) invalid('name', name, 'is a schedule that runs');
    const schedule = new Running(name, this.parts, { slots, missed, act }, () => this.running.delete(name));
    this.running.set(name, schedule);
    await schedule.begin();
    return schedule;
  }

  /** @internal */
  close(): void {
    this.isClosed = true;
    for (const schedule of this.running.values()) schedule.stop();
  }
}

class Running implements Schedule {
  readonly name: string;
  private readonly parts: SchedulesParts;
  private readonly slots: Slots;
  private readonly missed: Missed;
  private readonly act: Act;
  private readonly onStop: () => void;
  private readonly stopping = new AbortController();
  private readonly changes: SerialChanges;
  private doneMs = 0;
  private nextMs: number | undefined;

  constructor(name: string, parts: SchedulesParts, { slots, missed, act }: Plan, onStop: () => void) {
    this.name = name;
    this.parts = parts;
    this.slots = slots;
    this.missed = missed;
    this.act = act;
    this.onStop = onStop;
    this.changes = new SerialChanges(parts.tables);
  }

  get next(): Date | undefined {
    return this.nextMs === undefined ? undefined : new Date(this.nextMs);
  }

  stop(): void {
    this.stopping.abort();
    this.onStop();
  }

  /** A new schedule begins now. */
  async begin(): Promise<void> {
    const kept = await recordAt(this.parts.tables, table, this.name, doneIn);
    if (kept === undefined) await this.done(dateMs());
    else this.doneMs = kept.doneMs;
    this.look();
    unawaited(this.run(), (error) => this.parts.logger.error({ err: error }, `schedule '${this.name}' has ended`));
  }

  private look(): number | undefined {
    const now = dateMs();
    let slot = this.slots.after(this.doneMs);
    if (this.missed !== 'all' && slot !== undefined && slot <= now)
      slot = this.missed === 'once' ? this.slots.upTo(now) : this.slots.after(now);
    this.nextMs = slot;
    return slot;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const slot = this.look();
      if (slot === undefined) return;
      for (let left = slot - dateMs(); left > 0 && !signal.aborted; left = slot - dateMs())
        await pauseUnless(signal, Math.min(left, lookAgainMs));
      while (!this.parts.delivery.hasRoom && !signal.aborted) await pauseUnless(signal, noRoomMs);
      if (!signal.aborted) await this.execute(slot);
    }
  }

  /** What a slot sends has outcomes in the log until the slot is done, durably: so a restart in between executes none of it again. */
  private async execute(slot: number): Promise<void> {
    const messages = this.messagesOf(slot);
    let open = messages.length;
    const { promise: haveEnded, resolve } = Promise.withResolvers<void>();
    const done = haveEnded.then(() => this.done(slot));
    const deliver = (message: Message): Promise<void> =>
      new Promise((ended) => {
        let isOpen = true;
        const close = (): void => {
          if (isOpen && --open === 0) resolve();
          isOpen = false;
        };
        const release = (): Promise<void> => {
          close();
          return done;
        };
        const end = (): void => {
          close();
          ended();
        };
        this.parts.delivery.due(message, { isOver: () => false, release, ended: end });
      });
    if (open === 0) resolve();
    await Promise.all([done, ...messages.map(deliver)]);
  }

  /** What `act` throws ends the slot, and not the schedule. */
  private messagesOf(slot: number): Message[] {
    const { logger, definition, position } = this.parts;
    const messages: Message[] = [];
    const to: ScheduleTarget = (aggregate, aggregateId) => {
      checkId('aggregate id', aggregateId);
      const target = definition(nameOfDefinition(aggregate));
      return commandMethods(target, (command, input) => {
        const id = idOf(this.name, slot, messages.length);
        const [aggregateType, inputJson] = [storedTypeOf(target), argumentsJson(input)];
        const to = { aggregateType, aggregateId, command, inputJson, metadataJson: '' };
        messages.push({ id, position: position(), sender: scheduleSender(id), ...to });
      }) as Sender<typeof aggregate>;
    };
    try {
      this.act(to, new Date(slot));
    } catch (error) {
      logger.error({ err: error, slot: new Date(slot) }, `schedule '${this.name}' gives no command for a slot`);
      return [];
    }
    return messages;
  }

  private async done(slot: number): Promise<void> {
    this.doneMs = slot;
    await this.changes.durablyInTheEnd(async () => this.parts.tables.stage(table, this.name, { doneMs: slot }));
  }
}

/** A UUID of version 8, RFC 9562: the same for the same slot, whichever run of the service asks. */
function idOf(name: string, slot: number, index: number): string {
  const bytes = createHash('sha256').update(`${name}\0${slot}\0${index}`).digest();
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return idToText(bytes, 0);
}
