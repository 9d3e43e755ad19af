// TRUNKLINE_POSTGRES=postgres://… node examples/process-operation/main.ts [data directory]
import { once } from 'node:events';
import pg from 'pg';
import { createRuntime, type StoredEvent } from 'trunkline';
import { migrate, postgres } from 'trunkline/postgres';
import { Audit } from './audit.ts';
import { AccountService } from './service.ts';

const connectionString = process.env.TRUNKLINE_POSTGRES;
if (!connectionString) throw new Error('set TRUNKLINE_POSTGRES to the URL of a database to play in');
await migrate({ connection: connectionString });
const pool = new pg.Pool({ connectionString });
await pool.query('create table if not exists accounts (id text primary key, balance_cents bigint not null)');

await using runtime = await createRuntime({
  dataDir: process.argv[2] ?? './data',
  aggregates: [Audit],
  store: postgres({ connectionString }),
});
const heard: StoredEvent[] = [];
const all = new EventTarget();
runtime.bus.on('*', (event) => {
  heard.push(event);
  if (heard.length === 3) all.dispatchEvent(new Event('heard'));
});
const three = once(all, 'heard');

const service = new AccountService(runtime, pool);
const id = `account-${Date.now()}`;
await service.processOperation(id, 100);
await service.deposit(id, 50, () => {});
const refused = await service
  .deposit(id, 1_000_000, (after) => {
    if (after > 10_000) throw new Error('above the limit');
  })
  .catch((error: Error) => error.message);
// Any other process, in any language:
await pool.query(`select trunkline.raise_event('invoice', $1, 'InvoiceGenerated', '{"cents": 150}')`, [id]);

await three;
const { rows } = await pool.query('select balance_cents::int as cents from accounts where id = $1', [id]);
console.log(
  JSON.stringify({ refused, balance: rows[0].cents, heard: heard.map(({ type, version }) => `${type} ${version}`) }),
);
await pool.end();
