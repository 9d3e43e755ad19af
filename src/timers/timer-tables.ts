// Pending timers as they are kept on this machine, where the log is that they come from: by the key of a timer, and by when it is due.
// Owned by the host thread.
//
// Invariants: both tables change in one commit. Of one key the timer that was set last stays, in whatever order changes come again.
import { pause } from '../base/clock.ts';
import { isError } from '../base/errors.ts';
import { checked, number, object, type Shape, text } from '../base/json.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { recordAt, recordsOf } from '../handler-state/records.ts';
import type { SerialChanges } from '../handler-state/serial-changes.ts';
import { laneOf, type Message, messageShape } from '../wire/message.ts';
import type { Timer } from '../wire/timer.ts';

const timerTable = 'timers';
const dueTable = 'timers-due';
const lookAgainMs = 1_000;

const timerShape: Shape<Timer> = object<Timer>({ message: messageShape, dueMs: number });
const timerIn = (value: unknown): Timer => checked(value, timerShape, 'a timer');
const dueShape = object<{ key: string; id: string }>({ key: text, id: text });
const dueIn = (value: unknown): { key: string; id: string } => checked(value, dueShape, 'when a timer is due');

const padded = (number: number): string => String(Math.max(0, number)).padStart(16, '0');
const dueKey = ({ dueMs, message }: Timer): string => `${padded(dueMs)} ${padded(message.position)}`;

/** A place in the order of dates. */
export interface DuePlace {
  readonly dueMs: number;
  readonly position: number;
}

/** What is true stays true, and is not asked again. */
function onceTrue(ask: () => boolean): () => boolean {
  let isTrue = false;
  return () => {
    isTrue ||= ask();
    return isTrue;
  };
}

export class TimerTables {
  private readonly tables: StateTables;
  private readonly hasTables: () => boolean;
  private readonly changes: SerialChanges;
  private readonly giveUp: (message: Message) => void;

  /**
   * `hasTables`: whether anything has been kept yet; they are not opened to find nothing. `giveUp` stages that a message is not to be
   * delivered from the log.
   */
  constructor(
    tables: StateTables,
    hasTables: () => boolean,
    changes: SerialChanges,
    giveUp: (message: Message) => void,
  ) {
    this.giveUp = giveUp;
    this.tables = tables;
    this.hasTables = onceTrue(hasTables);
    this.changes = changes;
  }

  /** Several changes in their order, durably. @throws RuntimeClosed */
  change(work: () => Promise<void>): Promise<void> {
    return this.changes.durablyInTheEnd(work);
  }

  /** Within `change`. */
  async set(key: string, timer: Timer): Promise<void> {
    const before = await this.at(key);
    if (before !== undefined && before.message.position > timer.message.position) return;
    if (before !== undefined) this.tables.stage(dueTable, dueKey(before), undefined);
    this.stage(key, timer);
  }

  /** Within `change`: the timer of that key, if it was set no later than at that position. */
  async remove(key: string, position: number): Promise<void> {
    const before = await this.at(key);
    if (before !== undefined && before.message.position <= position) this.unstage(before);
  }

  /** The pending timer whose message it is. */
  async of(message: Message): Promise<Timer | undefined> {
    const timer = await this.at(laneOf(message));
    return timer?.message.id === message.id ? timer : undefined;
  }

  /** A user's change, durably; false: it is no more. `to` undefined: it is given up, also where the log has it. @throws RuntimeClosed */
  exchange(timer: Timer, to: Timer | undefined): Promise<boolean> {
    return this.changes.durablyInTheEnd(async () => {
      const before = await this.of(timer.message);
      if (before === undefined) return false;
      this.unstage(before);
      if (to === undefined) this.giveUp(before.message);
      else this.stage(laneOf(to.message), to);
      return true;
    });
  }

  private stage(key: string, timer: Timer): void {
    this.tables.stage(timerTable, key, timer);
    this.tables.stage(dueTable, dueKey(timer), { key, id: timer.message.id });
  }

  /** It leaves with what else is staged in this turn. */
  unstage(timer: Timer): void {
    this.tables.stage(timerTable, laneOf(timer.message), undefined);
    this.tables.stage(dueTable, dueKey(timer), undefined);
  }

  /** The timer whose message it is waits no longer. @throws RuntimeClosed */
  async release(message: Message): Promise<void> {
    for (;;) {
      try {
        return await this.change(() => this.remove(laneOf(message), message.position));
      } catch (error) {
        if (isError(error, 'RuntimeClosed')) throw error;
        await pause(lookAgainMs); // they could not be read
      }
    }
  }

  /** A user's call of them waits no longer than the bound. @throws WaitTimedOut */
  inTime<T>(work: Promise<T>): Promise<T> {
    return this.tables.inTime('timers that wait', work);
  }

  async at(key: string): Promise<Timer | undefined> {
    return this.hasTables() ? recordAt(this.tables, timerTable, key, timerIn) : undefined;
  }

  /** In the order of dates, those behind a place, so many at most. */
  async behind(place: DuePlace | undefined, most: number): Promise<Timer[]> {
    const found: Timer[] = [];
    const start = place && `${padded(place.dueMs)} ${padded(place.position)}\0`;
    for await (const timer of this.all(start)) {
      found.push(timer);
      if (found.length === most) break;
    }
    return found;
  }

  /** In the order of dates. */
  async *all(start = ''): AsyncGenerator<Timer> {
    if (!this.hasTables()) return;
    for await (const { record } of recordsOf(this.tables, dueTable, dueIn, { start })) {
      const timer = await this.at(record.key);
      // What came between two pages may have replaced it.
      if (timer?.message.id === record.id) yield timer;
    }
  }

  /** Those that `isWanted` by their ids: their dates do not matter. */
  async *withIds(isWanted: (id: string) => boolean): AsyncGenerator<Timer> {
    if (!this.hasTables()) return;
    for await (const { record } of recordsOf(this.tables, dueTable, dueIn)) {
      const timer = isWanted(record.id) ? await this.at(record.key) : undefined;
      if (timer?.message.id === record.id) yield timer;
    }
  }
}
