// The one place that loads `lmdb`. It loads msgpackr, which loads native code to decode faster (`msgpackr-extract`), whose
// version is not ours to choose where this package is installed. All environments here are binary, so nothing needs it:
// msgpackr is told to leave it, by its own variable, for as long as the import takes. The order of the imports matters; they
// are static, since a dynamic one would keep `require('trunkline')` from working.
import './msgpackr-plain.ts';

export { ABORT, open, type RootDatabase, type RootDatabaseOptions } from 'lmdb';

import './msgpackr-as-before.ts';
