// What PostgreSQL copies out, piece by piece.
import type { Readable } from 'node:stream';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';

/**
 * The bytes of a `copy … to stdout`. pg times every query, and stops its clock when the query's callback is called, which
 * pg-copy-streams does for COPY in but not for COPY out: the clock would run on, and keep the process with it.
 */
export async function* copiedOut(client: pg.ClientBase, sql: string): AsyncGenerator<Buffer> {
  const query = client.query(copyTo(sql)) as Readable & { callback?(): void };
  try {
    yield* query;
  } finally {
    query.on('error', () => {}); // broken off, it hears of the end of its connection
    query.callback?.();
  }
}
