// Entry of the process that examines a store (see probe.ts): a leaf. Argument: the store's folder. Ends with 0 if the store
// is sound as far as it has looked, else with 1 and the error on its standard output; or it crashes, which tells as much.

import { performance } from '../../../base/clock.ts';
import { statSync } from '../../../base/disk.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { ABORT } from '../../../base/lmdb-library.ts';
import { toWire } from '../../../base/wire-error.ts';
import { Block } from './block.ts';
import { damaged, dataFileOf, type Environment, openEnvironment, readCheckpoint, type Table } from './environment.ts';
import { lastNumber } from './layout.ts';

// A file that is as long as it should be is looked at for so long, newest blocks first; a shorter one wholly.
const budgetMs = 500;

const folder = process.argv[2]!;
try {
  await examine();
} catch (error) {
  const found = error instanceof TrunklineError ? error : damaged(folder, String(error));
  process.stdout.write(JSON.stringify(toWire(found, { aggregateType: '', command: '' })));
  process.exitCode = 1;
}

async function examine(): Promise<void> {
  const environment = openEnvironment(folder, false);
  const { root, blocks, heads, snapshots, receipts, expiries, postings } = environment;
  const checkpoint = readCheckpoint(environment);
  const until = performance.now() + (isShort(environment) ? Number.POSITIVE_INFINITY : budgetMs);
  walkBlocks(environment, checkpoint, until);
  for (const table of [heads, snapshots, receipts, expiries, postings, blocks]) walk(table, until);
  // Writing needs the list of free pages, which nothing above has read.
  root.transactionSync(() => {
    root.putSync(Buffer.from('examination'), Buffer.alloc(64 << 10));
    return ABORT;
  });
  await root.close();
}

/** Whether the file lacks pages that LMDB has given out. A few of the last may never have been written, and that is fine. */
function isShort({ root }: Environment): boolean {
  const { pageSize, lastPageNumber } = root.getStats() as { pageSize: number; lastPageNumber: number };
  return statSync(dataFileOf(folder)).size < (lastPageNumber + 1) * pageSize;
}

function walkBlocks({ blocks }: Environment, checkpoint: number, until: number): void {
  const block = new Block();
  let count = 0;
  for (const { key, value } of blocks.getRange({ reverse: true })) {
    count++;
    const first = lastNumber(key);
    if (first > checkpoint) throw damaged(folder, `block ${first} lies beyond the checkpoint ${checkpoint}`);
    if (!block.over(first, value) || !block.isIntact())
      throw damaged(folder, `block ${first} is not as it was written`);
    if (performance.now() > until) return;
  }
  expectAll(blocks, count);
}

function walk(table: Table, until: number): void {
  let count = 0;
  for (const { value } of table.getRange()) {
    if (value.length === 0) throw damaged(folder, 'an entry is empty');
    if ((++count & 63) === 0 && performance.now() > until) return;
  }
  expectAll(table, count);
}

/** lmdb-js takes a page that makes no sense for the end, unless LMDB itself says that it does not. */
function expectAll(table: Table, count: number): void {
  const { entryCount } = table.getStats() as { entryCount: number };
  if (count !== entryCount) throw damaged(folder, `${count} of the ${entryCount} entries of a table can be read`);
}
