// Loaded before a program, in each of its threads: syncs of the log stand still when the test says so. In the folder named by
// TRUNKLINE_HOLD_SYNC, a file `allowed` says how many syncs from its making on may end (none: all may); `held` says how many
// have begun since.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const folder = process.env.TRUNKLINE_HOLD_SYNC!;
const lookMs = 2;
const still = new Int32Array(new SharedArrayBuffer(4));
const own = fs.fdatasyncSync;
let begun = 0;

function allowed(): number {
  try {
    return Number(fs.readFileSync(join(folder, 'allowed'), 'utf8') || Number.NaN);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

fs.fdatasyncSync = (descriptor) => {
  const isLog = fs.readlinkSync(`/proc/self/fd/${descriptor}`).endsWith('/log/log.mdb');
  if (isLog && allowed() !== Number.POSITIVE_INFINITY) {
    begun++;
    fs.writeFileSync(join(folder, 'held'), String(begun));
    while (!(allowed() >= begun)) Atomics.wait(still, 0, 0, lookMs);
  }
  own(descriptor);
};
syncBuiltinESMExports();
