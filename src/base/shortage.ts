// Errors that say that the process or the machine has nothing left of what threads and files need: descriptors, threads, memory.
// What has failed of it may succeed later, although nothing is changed in its code.

/** By its words: an error that has crossed a thread has lost its code, and loaders of modules put the system's words into theirs. */
const words = /\b(?:EMFILE|ENFILE|EAGAIN|ENOMEM|too many open files|file table overflow|cannot allocate memory)\b/i;

export function isShortage(error: unknown): boolean {
  return error instanceof Error && words.test(error.message);
}
