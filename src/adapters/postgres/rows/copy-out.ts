// What PostgreSQL copies out, piece by piece.
import type { Readable } from 'node:stream';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { lacksPath } from '../session/own-path.ts';
import { beginReadSql } from '../session/server-session.ts';
import { isServerError } from '../session/sqlstate.ts';

/**
 * The bytes of a `copy … to stdout`. pg times every query, and stops its clock when the query's callback is called, which
 * pg-copy-streams does for COPY in but not for COPY out: the clock would run on, and keep the process with it.
 */
export async function* copiedOut(client: pg.ClientBase, sql: string): AsyncGenerator<Buffer> {
  // pg-copy-streams takes the end of a query's first statement for the end of all.
  if (!lacksPath(client)) return yield* copied(client, sql);
  await client.query(beginReadSql);
  try {
    yield* copied(client, sql);
  } catch (error) {
    if (isServerError(error)) await client.query('rollback');
    throw error;
  }
  await client.query('commit');
}

async function* copied(client: pg.ClientBase, sql: string): AsyncGenerator<Buffer> {
  const query = client.query(copyTo(sql)) as Readable & { callback?(): void };
  try {
    yield* query;
  } finally {
    query.on('error', () => {}); // broken off, it hears of the end of its connection
    query.callback?.();
  }
}
