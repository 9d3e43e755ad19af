// Connections that a test file holds beside each other, and that its tests end.
import pg from 'pg';

export class Clients {
  private readonly open: pg.Client[] = [];

  async connect(url: string, name?: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url, application_name: name });
    client.on('error', () => {}); // some are ended by the server
    await client.connect();
    this.open.push(client);
    return client;
  }

  async end(): Promise<void> {
    await Promise.all(this.open.splice(0).map((client) => client.end().catch(() => {})));
  }
}
