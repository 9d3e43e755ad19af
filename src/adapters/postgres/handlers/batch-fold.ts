// One batch of events folded into rows of a table. Owned by the host thread.
//
// What is done for each event is its `key` and `apply`, and one look-up; a key is checked, looked for and read once in a batch.
// The server works meanwhile: events are folded while the transaction begins, and the next part of them while rows are written for
// which the batch has no more events. Each row is written once.
import { yieldToLoop } from '../../../base/clock.ts';
import type { StoredEvent } from '../../../model/event.ts';
import { checkRowKey, keysGiven, nextRow } from '../../../projections/folding.ts';
import type { ProjectionDefinition } from '../../../projections/projection.ts';
import type { KnownRows } from './known-rows.ts';
import type { Found, RowTable } from './row-table.ts';

type Client = Parameters<RowTable<unknown>['read']>[0];

/** Folded in one go; and as many rows, or a part's, are worth a statement of their own. */
const stepsPerPart = 500;

/** A row of the batch, as it is now. */
interface Slot<Row> {
  /** As its column prints it. */
  readonly key: string;
  row: Row | undefined;
  /** Which step changes it last. */
  lastStep: number;
}

/** A key as `key()` gives it: several may name one row. */
interface Name<Row> {
  readonly given: string;
  /** Set before anything is folded. */
  slot: Slot<Row>;
}

/** One for each event and each of its keys. */
interface Steps<Row> {
  readonly names: Name<Row>[];
  readonly events: StoredEvent[];
}

/** Rows that a batch changes, by the keys of their columns, and which of these each key has named. */
export interface Folded<Row> {
  readonly changed: Map<string, Row | undefined>;
  readonly names: Map<string, string>;
}

/** Writes the rows, and commits nothing. `opening`: a transaction that begins. `known`: those rows need not be read. */
export async function foldBatch<Row>(
  definition: ProjectionDefinition<Row>,
  table: RowTable<Row>,
  opening: Promise<Client>,
  events: readonly StoredEvent[],
  known: KnownRows<Row>,
): Promise<Folded<Row>> {
  opening.catch(() => {}); // awaited below
  await yieldToLoop(); // its statement is sent
  try {
    const slots = new Map<string, Slot<Row>>();
    const names = new Map<string, string>();
    const steps = await stepsOf(definition, events, { slots, names, known, table, opening });
    for (let i = 0; i < steps.names.length; i++) steps.names[i]!.slot.lastStep = i;
    await foldSteps(definition, steps, table, opening);
    await opening; // also where there was nothing to write
    const changed = new Map<string, Row | undefined>();
    for (const { key, row } of slots.values()) changed.set(key, row);
    return { changed, names };
  } catch (error) {
    await opening; // one that does not begin says more: the events may have been folded before
    throw error;
  }
}

interface Places<Row> {
  readonly slots: Map<string, Slot<Row>>;
  readonly names: Map<string, string>;
  readonly known: KnownRows<Row>;
  readonly table: RowTable<Row>;
  readonly opening: Promise<Client>;
}

/** What is to be folded, each row in its slot as it is before the batch. */
async function stepsOf<Row>(
  definition: ProjectionDefinition<Row>,
  events: readonly StoredEvent[],
  { slots, names, known, table, opening }: Places<Row>,
): Promise<Steps<Row>> {
  const batch = new Map<string, Name<Row>>();
  const place = (name: Name<Row>, { key, row }: Found<Row>): void => {
    let slot = slots.get(key);
    if (slot === undefined) slots.set(key, (slot = { key, row, lastStep: 0 }));
    name.slot = slot;
    if (key !== name.given) names.set(name.given, key);
  };
  const steps: Steps<Row> = { names: [], events: [] };
  const unread: Name<Row>[] = [];
  for (const event of events) {
    for (const given of keysGiven(definition, event)) {
      let name = batch.get(given);
      if (name === undefined) {
        checkRowKey(given);
        name = { given, slot: undefined as never };
        batch.set(given, name);
        const found = known.find(given);
        if (found === undefined) unread.push(name);
        else place(name, found);
      }
      steps.names.push(name);
      steps.events.push(event);
    }
  }
  if (unread.length > 0) {
    const keys = unread.map(({ given }) => given);
    const read = await table.read(await opening, keys);
    for (const name of unread) place(name, read.get(name.given)!);
  }
  return steps;
}

/** Part by part: rows that are as they will be are written while the next part is folded. */
async function foldSteps<Row>(
  definition: ProjectionDefinition<Row>,
  { names, events }: Steps<Row>,
  table: RowTable<Row>,
  opening: Promise<Client>,
): Promise<void> {
  let finished = new Map<string, Row | undefined>();
  let writing: Promise<void> = Promise.resolve();
  for (let i = 0; i < names.length; ) {
    const end = Math.min(names.length, i + stepsPerPart);
    try {
      for (; i < end; i++) {
        const { given, slot } = names[i]!;
        slot.row = nextRow(definition, slot.row, events[i]!, given);
        if (slot.lastStep === i) finished.set(slot.key, slot.row);
      }
    } finally {
      await writing; // also behind what `apply` throws: nothing of this batch is in progress when it has failed
    }
    if (end < names.length && finished.size < stepsPerPart / 2) continue;
    writing = table.write(await opening, finished); // sent in this turn, before the next part is folded
    finished = new Map();
  }
  await writing;
}
