// First of three imports in lmdb-library.ts: from here on msgpackr, when it is loaded, loads no native code.
export const variable = 'MSGPACKR_NATIVE_ACCELERATION_DISABLED';
/** What the process, or its user, has set. */
export const before: string | undefined = process.env[variable];

process.env[variable] = 'true';
