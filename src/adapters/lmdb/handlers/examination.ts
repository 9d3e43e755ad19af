// Entry of the process that examines the handlers' environment (see probe.ts): a leaf. Argument: its folder. Ends with 0 if it
// is sound as far as it has looked, else with 1 and what it found on its standard output; or it crashes, which tells as much.

import { performance } from '../../../base/clock.ts';
import { ABORT } from '../../../base/lmdb-library.ts';
import { openEnvironment } from './environment.ts';

// Everything, unless it is much; then what can be looked at in so long.
const budgetMs = 2_000;
const tableEnd = 0;

try {
  const environment = openEnvironment(process.argv[2]!, false);
  const until = performance.now() + budgetMs;
  const { entryCount } = environment.getStats() as { entryCount: number };
  let count = 0;
  let isCutShort = false;
  // Values are read too, and not judged: a broken one is passed over by its reader, by name.
  for (const { key } of environment.getRange()) {
    if (!Buffer.from(key).includes(tableEnd)) throw new Error('an entry belongs to no table');
    isCutShort = (++count & 63) === 0 && performance.now() > until;
    if (isCutShort) break;
  }
  // lmdb-js takes a page that makes no sense for the end, unless LMDB itself says that it does not.
  if (!isCutShort && count !== entryCount) throw new Error(`${count} of its ${entryCount} entries can be read`);
  // Writing needs the list of free pages, which nothing above has read.
  environment.transactionSync(() => {
    environment.putSync(Buffer.from('examination'), Buffer.alloc(64 << 10));
    return ABORT;
  });
  await environment.close();
} catch (error) {
  process.stdout.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
