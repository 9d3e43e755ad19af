// A connection of a pool for one piece of work.
//
// Invariant: it is released exactly once, whatever ends the work: its end, an error, or the signal, which may abort before the
// connection is there, when it comes, or later.
import type pg from 'pg';
import { clearTimeout, setTimeout } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { guarded } from '../../../base/guarded.ts';
import { onAbort, orAborted } from '../../../base/on-abort.ts';
import { storeName } from './failure.ts';

/**
 * Run `work` on a connection; one that an error or the signal has left in the middle of something, or `work` says is good for
 * nothing more (`discard`), is thrown away. A pool of
 * the user's own may have none free, indefinitely: it is waited for no longer than `timeoutMs`.
 * @throws StoreUnavailable, the signal's reason
 */
export async function borrowed<T>(
  pool: pg.Pool,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  work: (client: pg.PoolClient, discard: () => void) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const client = await connected(pool, timeoutMs, signal);
  let isReleased = false;
  const release = (isLost: boolean): void => {
    if (!isReleased) client.release(isLost);
    isReleased = true;
  };
  const forget = onAbort(signal, () => release(true));
  let isLost = true;
  let isDiscarded = false;
  const discard = (): void => {
    isDiscarded = true;
  };
  try {
    signal?.throwIfAborted();
    const result = await work(client, discard);
    isLost = isDiscarded;
    return result;
  } finally {
    forget();
    release(isLost);
  }
}

async function connected(pool: pg.Pool, timeoutMs: number, signal: AbortSignal | undefined): Promise<pg.PoolClient> {
  const bound = new AbortController();
  const late = guarded(() => {
    const cause = `no connection of the pool was free within ${timeoutMs} ms`;
    bound.abort(new TrunklineError('StoreUnavailable', { store: storeName, cause }));
  });
  const timer = setTimeout(late, timeoutMs);
  const forget = onAbort(signal, () => bound.abort(signal!.reason));
  try {
    return await orAborted(pool.connect(), bound.signal, (client) => client.release());
  } finally {
    forget();
    clearTimeout(timer);
  }
}
