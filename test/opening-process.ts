// Opens an LMDB file with no descriptor left, then with one, with two, and at last with enough. argv: the file.
import { closeSync, openSync } from 'node:fs';
import { openLmdb } from '../src/base/lmdb-open.ts';

const file = process.argv[2]!;
const opened = () =>
  openLmdb(file, {
    ...{ readOnly: true, mapSize: 64 << 20, startPages: 64, damaged: (reason: string) => new Error(reason) },
    ...{ encoding: 'binary', keyEncoding: 'binary', cache: false, overlappingSync: false },
  });
const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

const made = openLmdb(file, {
  ...{ readOnly: false, mapSize: 64 << 20, startPages: 64, damaged: (reason: string) => new Error(reason) },
  ...{ encoding: 'binary', keyEncoding: 'binary', cache: false, overlappingSync: false },
});
await made.close();
const held: number[] = [];
try {
  for (;;) held.push(openSync('/dev/null', 'r'));
} catch (error) {
  if (codeOf(error) !== 'EMFILE') throw error;
}
let refused: string | undefined;
let attempts = 0;
for (let spare = 0; spare < 3; spare++) {
  try {
    await opened().close();
  } catch (error) {
    refused = codeOf(error);
    attempts++;
  }
  closeSync(held.pop()!);
}
for (const descriptor of held) closeSync(descriptor);
const data = opened();
process.stdout.write(JSON.stringify({ refused, attempts, entries: data.getCount() }));
await data.close();
