// Errors that say that the process or the machine has nothing left of what threads and files need: descriptors, threads, memory.
// What has failed of it may succeed later, although nothing is changed in its code. To be asked in the thread where the error was
// thrown: one that has crossed a thread has lost its code. Any thread.
import { getSystemErrorName } from 'node:util';

const systemCodes: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM']);
const causesMost = 8;

/** By what the system has answered, not by words: a text says whatever its author likes. So does what is thrown where memory ends. */
export function isShortage(error: unknown): boolean {
  try {
    let one = error;
    for (let depth = 0; one instanceof Error && depth < causesMost; depth++) {
      if (isSystemShortage(one as NodeJS.ErrnoException)) return true;
      one = one.cause;
    }
  } catch {} // it cannot be looked at
  return false;
}

function isSystemShortage({ code, errno, message }: NodeJS.ErrnoException): boolean {
  // Node's loader keeps the system's answer to itself. A file that can be read and is wrong is an `Invalid package config`.
  if (code === 'ERR_INVALID_PACKAGE_CONFIG') return message.startsWith('Cannot read package config ');
  return systemCodes.has(code) && typeof errno === 'number' && errno < 0 && getSystemErrorName(errno) === code;
}
