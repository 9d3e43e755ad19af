// One batch of events folded into rows of a table. Owned by the caller's thread.
//
// What is done for each event is its `key` and `apply`, and one look-up; a key is checked, looked for and read once in a batch.
import type { StoredEvent } from '../../../model/event.ts';
import { checkRowKey, keysGiven, nextRow } from '../../../projections/folding.ts';
import type { ProjectionDefinition } from '../../../projections/projection.ts';
import type { KnownRows } from './known-rows.ts';
import type { Found, RowTable } from './row-table.ts';

/** A row of the batch, as it is now. */
interface Slot<Row> {
  /** As its column prints it. */
  readonly key: string;
  row: Row | undefined;
}

/** A key as `key()` gives it: several may name one row. */
interface Name<Row> {
  readonly given: string;
  /** Set before anything is folded. */
  slot: Slot<Row>;
}

/** Rows that a batch changes, by the keys of their columns, and which of these each key has named. */
export interface Folded<Row> {
  readonly changed: Map<string, Row | undefined>;
  readonly names: Map<string, string>;
}

/** Writes the rows, and commits nothing. `known`: those need not be read. */
export async function foldBatch<Row>(
  definition: ProjectionDefinition<Row>,
  table: RowTable<Row>,
  client: Parameters<RowTable<Row>['read']>[0],
  events: readonly StoredEvent[],
  known: KnownRows<Row>,
): Promise<Folded<Row>> {
  const batch = new Map<string, Name<Row>>();
  const slots = new Map<string, Slot<Row>>();
  const names = new Map<string, string>();
  const place = (name: Name<Row>, { key, row }: Found<Row>): void => {
    let slot = slots.get(key);
    if (slot === undefined) slots.set(key, (slot = { key, row }));
    name.slot = slot;
    if (key !== name.given) names.set(name.given, key);
  };
  const steps: Name<Row>[] = []; // for each event and key
  const stepEvents: StoredEvent[] = [];
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
      steps.push(name);
      stepEvents.push(event);
    }
  }
  if (unread.length > 0) {
    const read = await table.read(
      client,
      unread.map(({ given }) => given),
    );
    for (const name of unread) place(name, read.get(name.given)!);
  }
  for (let i = 0; i < steps.length; i++) {
    const { given, slot } = steps[i]!;
    slot.row = nextRow(definition, slot.row, stepEvents[i]!, given);
  }
  const changed = new Map<string, Row | undefined>();
  for (const { key, row } of slots.values()) changed.set(key, row);
  await table.write(client, changed);
  return { changed, names };
}
