// Whether what a function of the user's has returned must be awaited. Promises come from other realms, libraries and query
// builders, which run only when they are awaited: `instanceof Promise` misses all of them, so src has none of it.

/** What `await` would wait for. Reads `then` once; a getter that throws does so here. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as { then?: unknown }).then === 'function';
}

/** The very promise that `work` returns; what it throws at once is a rejection. (`Promise.try` makes another, which awaits that one.) */
export function promised<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
}
