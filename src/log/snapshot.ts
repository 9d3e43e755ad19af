// One read on a snapshot of its own, let go of at once.
//
// lmdb-js takes a snapshot at the first read and lets go of it in a timer. In a thread that blocks, that timer never fires:
// later reads would see an old log, pages of truncated chunks could not be used again, and every read would leave a timer
// behind. So a read here lets go itself, and the library gets no timer while it lasts.
import type { RootDatabase } from 'lmdb';

const noTimer = (() => 1) as unknown as typeof setTimeout;

/** `read` is synchronous, and has copied what it wants to keep. */
export function inSnapshot<T>(data: RootDatabase<Buffer, Uint8Array>, read: () => T): T {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = noTimer;
  try {
    return read();
  } finally {
    globalThis.setTimeout = setTimeout;
    data.resetReadTxn();
  }
}
