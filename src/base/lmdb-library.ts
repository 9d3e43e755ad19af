// The one place that loads `lmdb`. It loads msgpackr, which loads native code to decode faster (`msgpackr-extract`), whose
// version is not ours to choose where this package is installed. All environments here are binary, so nothing needs it:
// msgpackr's own variable makes it leave that build alone for as long as the loading takes. By `require`: that build is one file,
// and costs each thread half of what the modules do; and a dynamic import would keep `require('trunkline')` from working.
import { createRequire } from 'node:module';

export type { RootDatabase, RootDatabaseOptions } from 'lmdb';

const variable = 'MSGPACKR_NATIVE_ACCELERATION_DISABLED';

function load(): typeof import('lmdb') {
  const before = process.env[variable];
  process.env[variable] = 'true';
  try {
    return createRequire(import.meta.url)('lmdb');
  } finally {
    // As it was, for the user's own code and for child processes.
    if (before === undefined) delete process.env[variable];
    else process.env[variable] = before;
  }
}

const library = load();

export const open: typeof import('lmdb').open = library.open;
export const ABORT: typeof import('lmdb').ABORT = library.ABORT;
