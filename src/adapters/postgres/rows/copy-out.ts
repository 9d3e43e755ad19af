// What PostgreSQL copies out, piece by piece.
import { Readable } from 'node:stream';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { lacksPath } from '../session/own-path.ts';
import { setOwn } from '../session/session-sql.ts';

/**
 * The bytes of a `copy … to stdout`. pg times every query, and stops its clock when the query's callback is called, which
 * pg-copy-streams does for COPY in but not for COPY out: the clock would run on, and keep the process with it.
 */
export async function* copiedOut(client: pg.ClientBase, sql: string): AsyncGenerator<Buffer> {
  const query = (lacksPath(client) ? new CopyOnOwnPath(sql) : copyTo(sql)) as pg.Submittable &
    Readable & { callback?(): void };
  client.query(query);
  try {
    yield* query;
  } finally {
    query.on('error', () => {}); // broken off, it hears of the end of its connection
    query.callback?.();
  }
}

/** As pg has them of a connection. */
interface Connection {
  query(text: string): void;
  readonly stream: { pause(): void; resume(): void };
}

/**
 * A COPY that brings its settings along, where those of the session are others' (own-path.ts): one query of several statements, one
 * round trip. pg-copy-streams takes the end of a query's first statement for the end of all, so pg itself reads these messages;
 * the names of the methods are those by which it hands them over.
 */
class CopyOnOwnPath extends Readable {
  private readonly text: string;
  private connection: Connection | undefined;

  constructor(sql: string) {
    super();
    this.text = `${setOwn}; ${sql}`;
  }

  submit(connection: Connection): void {
    this.connection = connection;
    connection.query(this.text);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    if (this.destroyed) return; // broken off: what the server still sends comes to its end
    if (!this.push(Buffer.from(chunk))) this.connection!.stream.pause(); // pg uses its buffer again
  }

  override _read(): void {
    this.connection?.stream.resume();
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.push(null);
  }

  handleError(error: Error): void {
    this.destroy(error);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connection?.stream.resume();
    done(error);
  }
}
