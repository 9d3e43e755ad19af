// Records of ours in the handlers' tables, and values of the user's, as lists. One that is broken is passed over, and reported
// (broken-records.ts): it never keeps the others from being read. What is asked for by its key alone may throw instead; then only
// its owner fails. Host thread.
import type { StateTables } from './handler-state.ts';
import type { KeyRange } from './handler-state-store.ts';
import type { PageOptions, TableEntry } from './table-pages.ts';

/** Makes a record of what was read. @throws RecordInvalid */
type Read<T> = (value: unknown, key: string) => T;

/** Those that are whole, in key order, page by page. */
export async function* recordsOf<T>(
  tables: Pick<StateTables, 'pages' | 'broken'>,
  table: string,
  read: Read<T>,
  options: PageOptions = {},
): AsyncGenerator<{ key: string; record: T }> {
  for await (const page of tables.pages(table, options)) {
    for (const entry of page) {
      const record = wholeOf(tables, table, entry, read);
      if (record !== undefined) yield { key: entry.key, record };
    }
  }
}

/** Of an entry that has been read; undefined: it is broken. */
export function wholeOf<T>(
  tables: Pick<StateTables, 'broken'>,
  table: string,
  { key, value }: TableEntry,
  read: Read<T>,
): T | undefined {
  try {
    return read(value, key);
  } catch (error) {
    tables.broken.note(table, key, error);
    return undefined;
  }
}

/** The first one whose key begins so, and which is whole. */
export async function firstRecord<T>(
  tables: Pick<StateTables, 'pages' | 'broken'>,
  table: string,
  prefix: string,
  read: Read<T>,
): Promise<{ key: string; record: T } | undefined> {
  for await (const found of recordsOf(tables, table, read, { prefix, first: 1 })) return found;
  return undefined;
}

/** By its key, for a reader to whom a broken one is as good as none. */
export async function recordAt<T>(
  tables: Pick<StateTables, 'json' | 'broken'>,
  table: string,
  key: string,
  read: Read<T>,
): Promise<T | undefined> {
  const json = await tables.json(table, key);
  if (json === undefined) return undefined;
  const value = tables.broken.parse(table, key, json);
  return value === undefined ? undefined : wholeOf(tables, table, { key, value }, read);
}

/** Values of the user's, as many as are asked for, if there are so many that can be read. */
export async function valuesOf(
  tables: Pick<StateTables, 'range'>,
  table: string,
  range: KeyRange,
): Promise<{ key: string; value: unknown }[]> {
  const whole: { key: string; value: unknown }[] = [];
  const { limit = Number.MAX_SAFE_INTEGER } = range;
  for (let rest = range; ; ) {
    const found = await tables.range(table, rest);
    for (const entry of found) if (entry.value !== undefined) whole.push(entry);
    const wanted = rest.limit ?? Number.MAX_SAFE_INTEGER;
    if (found.length < wanted || whole.length >= limit) return whole;
    rest = { ...range, start: `${found.at(-1)!.key}\0`, limit: limit - whole.length };
  }
}
