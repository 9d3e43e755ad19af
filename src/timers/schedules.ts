// Commands that come again and again: `runtime.schedule`. Each command of a slot is a message with an id made of the schedule's name,
// the slot and the command, so it is executed once, over kills and restarts; which slot was the last one, a table on this machine keeps. Host thread.
//
// Invariant: the next slot follows from the slot, and not from when that was executed.
import { createHash } from 'node:crypto';
import { checkId, invalid, nameFault, nameOfDefinition } from '../base/checks.ts';
import { dateMs } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import type { Logger } from '../base/logger.ts';
import { NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { isThenable } from '../base/thenable.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { recordAt, recordsOf } from '../handler-state/records.ts';
import { SerialChanges } from '../handler-state/serial-changes.ts';
import type { AnyAggregate, Sender } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import { commandMethods } from '../shard/execution.ts';
import { idToText } from '../wire/ids.ts';
import type { Message } from '../wire/message.ts';
import { argumentsJson } from '../wire/payload.ts';
import { scheduleSender } from '../wire/timer.ts';
import { type Slots, slotsOf } from './cron.ts';
import { type Kept, keptIn } from './schedule-record.ts';
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
type Target = Pick<Message, 'aggregateType' | 'aggregateId' | 'command' | 'inputJson'>;
type Act = (to: ScheduleTarget, slot: Date) => void;

/** When a schedule is due, and what it sends. */
interface Plan {
  readonly slots: Slots;
  readonly missed: Missed;
  readonly act: Act;
}

const fields = fieldsOf<ScheduleOptions>({ cron: 'text', timeZone: 'text', missed: 'text' });

/** Commands by the clock; see `runtime.schedule`. */
export class Schedules {
  private readonly parts: SchedulesParts;
  /** One for all, also for those that have been stopped: what one has read of the table still holds when it stages. */
  private readonly changes: SerialChanges;
  private readonly running = new Map<string, Running>();
  private isClosed = false;

  /** @internal */
  constructor(parts: SchedulesParts) {
    this.parts = parts;
    this.changes = new SerialChanges(parts.tables);
  }

  /**
   * A command that comes again and again, by the clock: each slot is executed once, over kills and restarts. The next slot follows from
   * the slot. Two data directories have two sets of schedules. `act` gives the commands before it returns, the same ones each time it is
   * asked for a slot: it is asked again after a restart in the middle of one.
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
    const schedule = new Running(name, this.parts, { slots, missed, act }, this.changes, (ended) => this.ended(ended));
    this.running.set(name, schedule);
    try {
      await schedule.begin();
    } catch (error) {
      schedule.stop();
      throw error;
    }
    return schedule;
  }

  /**
   * What the last run has executed of slots that are open, before the log forgets it: perhaps this run has no schedule of that name,
   * and a later one has. Not with a store elsewhere, which may have refused what the log has.
   * @internal
   */
  async recover(carriedOut: Pick<ReadonlySet<string>, 'has'>): Promise<void> {
    const { tables } = this.parts;
    await this.changes.durablyInTheEnd(async () => {
      for await (const { key, record } of recordsOf(tables, table, keptIn)) {
        const { open } = record;
        if (open === undefined) continue;
        const executed = new Set([...open.executed, ...open.ids.filter((id) => carriedOut.has(id))]);
        if (executed.size > open.executed.length)
          tables.stage(table, key, { ...record, open: { ...open, executed: [...executed] } });
      }
    });
  }

  /** Another of its name may run by now. */
  private ended(schedule: Running): void {
    if (this.running.get(schedule.name) === schedule) this.running.delete(schedule.name);
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
  private readonly onStop: (schedule: Running) => void;
  private readonly stopping = new AbortController();
  private readonly changes: SerialChanges;
  private doneMs = 0;
  private nextMs: number | undefined;

  constructor(
    name: string,
    parts: SchedulesParts,
    { slots, missed, act }: Plan,
    changes: SerialChanges,
    onStop: (schedule: Running) => void,
  ) {
    this.name = name;
    this.parts = parts;
    this.slots = slots;
    this.missed = missed;
    this.act = act;
    this.changes = changes;
    this.onStop = onStop;
  }

  get next(): Date | undefined {
    return this.nextMs === undefined ? undefined : new Date(this.nextMs);
  }

  stop(): void {
    this.stopping.abort();
    this.onStop(this);
  }

  /** A new schedule begins now. */
  async begin(): Promise<void> {
    const now = dateMs();
    const kept = await this.kept();
    if (kept === undefined) await this.done(now);
    else this.doneMs = kept.doneMs;
    this.look();
    // The clock has gone back since. Slots in between may have been executed, so none of them is due again.
    if (this.doneMs > now)
      this.parts.logger.warn({ next: this.next }, `schedule '${this.name}' has executed a slot later than now`);
    unawaited(this.run(), (error) => {
      if (!isError(error, 'RuntimeClosed'))
        this.parts.logger.error({ err: error }, `schedule '${this.name}' has ended`);
    });
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
    const messages = await this.begun(slot, this.messagesOf(slot));
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
    const messages: Message[] = [];
    const equal = new Map<string, number>();
    let hasReturned = false;
    const take = (to: Target): void => {
      if (hasReturned) invalid('act', undefined, 'has returned: it gives the commands of a slot before that');
      const of = JSON.stringify([this.name, slot, to.aggregateType, to.aggregateId, to.command, to.inputJson]);
      const before = equal.get(of) ?? 0;
      equal.set(of, before + 1);
      const id = idOf(of, before);
      messages.push({ id, position: this.parts.position(), sender: scheduleSender(id), ...to, metadataJson: '' });
    };
    try {
      const result: unknown = this.act(this.targets(take), new Date(slot));
      if (!isThenable(result)) return messages;
      Promise.resolve(result).catch(() => {}); // its outcome is of no use here, and must not become an unhandled rejection
      invalid('act', undefined, 'must not be async: it gives the commands of a slot before it returns');
    } catch (error) {
      const { logger } = this.parts;
      logger.error({ err: error, slot: new Date(slot) }, `schedule '${this.name}' gives no command for a slot`);
    } finally {
      hasReturned = true;
    }
    return [];
  }

  private targets(take: (to: Target) => void): ScheduleTarget {
    return (aggregate, aggregateId) => {
      checkId('aggregate id', aggregateId);
      const target = this.parts.definition(nameOfDefinition(aggregate));
      const aggregateType = storedTypeOf(target);
      return commandMethods(target, (command, input) =>
        take({ aggregateType, aggregateId, command, inputJson: argumentsJson(input) }),
      ) as Sender<typeof aggregate>;
    };
  }

  private async kept(): Promise<Kept | undefined> {
    return recordAt(this.parts.tables, table, this.name, keptIn);
  }

  /** Durable before any is delivered; returns those that no earlier run has executed. */
  private async begun(slotMs: number, messages: Message[]): Promise<Message[]> {
    if (messages.length === 0) return messages;
    const ids = messages.map(({ id }) => id);
    const executed = await this.changes.durablyInTheEnd(async () => {
      const { doneMs = this.doneMs, open } = (await this.kept()) ?? {};
      const before = open?.slotMs === slotMs ? open.executed : [];
      this.stage({ doneMs, open: { slotMs, ids, executed: before } });
      return new Set(before);
    });
    return messages.filter(({ id }) => !executed.has(id));
  }

  /** Never back: one that was stopped in the middle of a slot may end behind slots of the next one of its name. */
  private async done(slot: number): Promise<void> {
    this.doneMs = Math.max(this.doneMs, slot);
    await this.changes.durablyInTheEnd(async () => {
      const { doneMs = slot, open } = (await this.kept()) ?? {};
      this.stage({ doneMs: Math.max(doneMs, slot), open: open && open.slotMs > slot ? open : undefined });
    });
  }

  private stage(kept: Kept): void {
    this.parts.tables.stage(table, this.name, kept);
  }
}

/** A UUID of version 8, RFC 9562: the same for the same command of a slot, whichever run asks, and whatever else `act` gives then. */
function idOf(of: string, equalBefore: number): string {
  const bytes = createHash('sha256').update(`${of}${equalBefore}`).digest();
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return idToText(bytes, 0);
}
