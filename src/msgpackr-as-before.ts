// Last of three imports in lmdb-library.ts: the variable is as it was, for the user's own code and for child processes.
import { before, variable } from './msgpackr-plain.ts';

if (before === undefined) delete process.env[variable];
else process.env[variable] = before;
