// Functions of `trunkline/postgres` and `trunkline/kafka` under the names that they had in `trunkline` while that was the only entry,
// so that programs of that time go on. What describes (a store, a stream, a mapping) is light; what works loads its part when it
// is called.
import type * as archives from './adapters/postgres/partitions/archive-file.ts';
import type * as tails from './adapters/postgres/tail/tail.ts';

export { integration } from './adapters/kafka/integration.ts';
export { kafka } from './adapters/kafka/kafka.ts';
export { migrate } from './adapters/postgres/doors.ts';
export { postgres } from './adapters/postgres/session/postgres.ts';
export type { SqlClient as PostgresClient } from './handler-state/effect-transaction.ts';

/** As in `trunkline/postgres`. */
export const verifyArchive: typeof archives.verifyArchive = async (...given) => {
  const { verifyArchive: verify } = await import('./adapters/postgres/partitions/archive-file.ts');
  return verify(...given);
};

/** As in `trunkline/postgres`. */
export const readArchive: typeof archives.readArchive = async function* (...given) {
  const { readArchive: read } = await import('./adapters/postgres/partitions/archive-file.ts');
  yield* read(...given);
};

/** As in `trunkline/postgres`; what it refuses, it refuses by the first `next()`. */
export const tailEvents: typeof tails.tailEvents = (options) => {
  let tail: Promise<AsyncIterableIterator<tails.TailedEvent>> | undefined;
  const open = async (): Promise<AsyncIterableIterator<tails.TailedEvent>> => {
    const { tailEvents: follow } = await import('./adapters/postgres/tail/tail.ts');
    return follow(options);
  };
  let isOver = false;
  const end = async (): Promise<{ done: true; value: undefined }> => {
    isOver = true;
    await tail?.then((opened) => opened.return!()).catch(() => {});
    return { done: true, value: undefined };
  };
  return {
    async next() {
      if (isOver) return { done: true, value: undefined };
      tail ??= open();
      return (await tail).next();
    },
    return: end,
    async throw(error) {
      await end();
      throw error;
    },
    async [Symbol.asyncDispose]() {
      await end();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
};
