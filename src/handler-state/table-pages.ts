// A table of the handlers' read page by page, in key order: what is staged lies over each page. The event loop goes on between
// two pages, and a page is small in entries and in bytes: a table may hold a million entries of a megabyte each. Owned by the
// Host thread.
//
// Invariant: an entry that is there from the first page to the last one is read once. Pages are read at different moments:
// an entry that comes or goes meanwhile is read or not.

import { yieldToLoop } from '../base/clock.ts';
import { compareKeys } from '../base/key-order.ts';
import type { BrokenRecords } from './broken-records.ts';
import type { HandlerStateStore } from './handler-state-store.ts';
import type { Overlay } from './overlay.ts';

export interface TableEntry {
  readonly key: string;
  /** undefined: it is broken, see broken-records.ts. */
  readonly value: unknown;
}

export interface PageOptions {
  /** Only keys that begin with it. */
  readonly prefix?: string;
  /** Only from this key on; it begins with the prefix. */
  readonly start?: string;
  /** Entries whose JSON does not hold this text are of no interest: they are not parsed. Others may come, too. */
  readonly matching?: string;
  /** How many entries the first page has. */
  readonly first?: number;
}

const firstEntries = 32;
const entriesMost = 128;
const bytesWanted = 128 << 10;

/** `store`: asked for each page; throws once the tables are closed. */
export async function* tablePages(
  store: () => Promise<HandlerStateStore>,
  overlay: Overlay,
  table: string,
  broken: BrokenRecords,
  { prefix = '', start: from = prefix, matching = '', first = firstEntries }: PageOptions,
): AsyncGenerator<TableEntry[]> {
  let limit = first;
  for (let start = from; ; ) {
    const reading = (await store()).range(table, { prefix, start, limit });
    const [stored, layers] = await overlay.during(Promise.resolve(reading));
    const last = stored.length < limit ? undefined : stored.at(-1)!.key;
    const entries = new Map<string, string>();
    let bytes = 0;
    for (const { key, json } of stored) {
      bytes += json.length;
      if (json.includes(matching)) entries.set(key, json);
    }
    let isInOrder = true;
    for (const layer of layers) {
      for (const { table: of, key, json } of layer.values()) {
        if (of !== table || !key.startsWith(prefix) || compareKeys(key, start) < 0) continue;
        if (last !== undefined && compareKeys(key, last) > 0) continue;
        if (json === undefined) entries.delete(key);
        else entries.set(key, json);
        isInOrder &&= json === undefined;
      }
    }
    const page = Array.from(entries, ([key, json]) => ({ key, value: broken.parse(table, key, json) }));
    if (!isInOrder) page.sort((a, b) => compareKeys(a.key, b.key));
    if (page.length > 0) yield page;
    if (last === undefined) return;
    await yieldToLoop();
    start = `${last}\0`;
    const fits = Math.floor((limit * bytesWanted) / Math.max(1, bytes));
    limit = Math.max(1, Math.min(2 * limit, fits, entriesMost));
  }
}
