// What is in hand, kept durably, after the process has ended in the middle: see `care.ts`. An entry is written before the
// execution and removed behind it, so the entries that a start finds are what was in hand when the process ended. Only what
// was open when the log was recovered is marked; what comes later costs nothing. Host thread.
//
// An end is an end of the process in the middle. Invariant: it is charged to what alone was in hand, or had been in hand at an
// earlier end, too. So what an end with another reason finds in hand by chance is not charged again and again.
import { checked, flag, number, object } from '../base/json.ts';
import type { Care, Turn } from '../wire/care.ts';
import { CarefulLine, type HeldLine, type Place } from './careful-line.ts';
import type { StateTables } from './handler-state.ts';
import { wholeOf } from './records.ts';
import type { TableEntry } from './table-pages.ts';

const inHandTable = 'in-hand';

/** An entry, as JSON. */
interface Entry {
  deaths: number;
  /** It was in hand when an earlier run ended. */
  wasMet: boolean;
  isRunning: boolean;
  /** Executions are numbered as they begin. */
  order: number;
}

const entryShape = object<Entry>({ deaths: number, wasMet: flag, isRunning: flag, order: number });
const entryOf = (value: unknown): Entry => checked(value, entryShape, 'what was in hand');

/** How long a turn lasts before the next one begins beside it. */
const turnMsMost = 2_000;
/** How many of one owner are marked though they were in hand at no end; what else was open waits for these. */
const freshLimit = 1_024;
/** How long a mark may take to become durable (the disk may be full); then the execution begins without it. */
const markMs = 15_000;

export class InHand implements Care {
  private readonly handlerState: StateTables;
  private readonly onError: (error: unknown) => void;
  private readonly line: CarefulLine;
  /** What the table holds, by its keys. */
  private readonly entries = new Map<string, Entry>();
  /** By owner: how many more are marked though they were in hand at no end. */
  private readonly left = new Map<string, number>();
  /** Where the log ended at the start; 0: the process had ended in order. */
  private lastOpen = 0;
  private lastOrder = 0;

  constructor(handlerState: StateTables, onError: (error: unknown) => void, turnMs: number = turnMsMost) {
    this.handlerState = handlerState;
    this.onError = onError;
    this.line = new CarefulLine(turnMs);
  }

  /**
   * The process has ended in the middle, and the log at `lastOpen`. `isDone`: whether what is in hand by its entry has been
   * carried out. Returns what was in hand. @throws what the tables say
   */
  async load(lastOpen: number, hasTables: boolean, isDone: (key: string) => boolean): Promise<string[]> {
    const found: TableEntry[] = [];
    if (hasTables) for await (const page of this.handlerState.pages(inHandTable)) found.push(...page);
    const open = found.filter(({ key }) => !isDone(key));
    for (const { key } of found) if (isDone(key)) this.handlerState.stage(inHandTable, key, undefined);
    const entries: { key: string; entry: Entry }[] = [];
    for (const { key, value } of open) {
      const entry = wholeOf(this.handlerState, inHandTable, { key, value }, entryOf);
      if (entry !== undefined) entries.push({ key, entry });
      else this.handlerState.stage(inHandTable, key, undefined); // it counts as new: what else is in hand keeps its care
    }
    const running = entries.filter(({ entry }) => entry.isRunning);
    for (const { key, entry } of entries) {
      const { deaths, wasMet, isRunning, order } = entry;
      const isCharged = isRunning && (wasMet || running.length === 1);
      this.put(key, { deaths: deaths + (isCharged ? 1 : 0), wasMet: true, isRunning: false, order });
      this.lastOrder = Math.max(this.lastOrder, order);
    }
    this.lastOpen = lastOpen;
    return running.map(({ key }) => key);
  }

  of(owner: string, id: string, position: number): Turn | undefined {
    if (position > this.lastOpen) return undefined;
    const key = keyOf(owner, id);
    const entry = this.entries.get(key);
    if (entry !== undefined) return this.turn(key, entry, entry);
    const left = this.left.get(owner) ?? freshLimit;
    if (left === 0 && this.line.isEmpty) return undefined;
    this.left.set(owner, Math.max(0, left - 1));
    return this.turn(key, undefined, left === 0 ? 'last' : 'fresh');
  }

  private turn(key: string, before: Entry | undefined, place: Place): Turn {
    let held: HeldLine | undefined;
    return {
      deaths: before?.deaths ?? 0,
      begin: async (signal) => {
        held = await this.line.enter(place, signal);
        if (place === 'last' || signal.aborted || this.lastOpen === 0) return;
        const { deaths, wasMet } = before ?? { deaths: 0, wasMet: false };
        this.put(key, { deaths, wasMet, isRunning: true, order: ++this.lastOrder });
        await this.handlerState.durableWithin(markMs, this.onError);
        held.begun();
      },
      end: () => {
        held?.over();
        if (this.entries.has(key)) this.put(key, undefined);
      },
      leave: () => {
        held?.over();
        if (this.entries.has(key)) this.put(key, before);
      },
    };
  }

  private put(key: string, entry: Entry | undefined): void {
    if (entry === undefined) this.entries.delete(key);
    else this.entries.set(key, entry);
    this.handlerState.stage(inHandTable, key, entry);
  }

  /** The process ends in order, or its owner does: whatever was in hand has not ended it. */
  forget(): void {
    this.lastOpen = 0;
    for (const key of [...this.entries.keys()]) this.put(key, undefined);
  }
}

export const keyOf = (owner: string, id: string): string => `${owner}\0${id}`;
