// A store and its outbox behind a pooler in transaction mode: each statement outside of a transaction may run on another
// connection of the server's, which others use, too. And what the source may therefore not contain.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { migrate, postgres } from '../../../src/index.ts';
import { PgBouncer } from '../../pgbouncer.ts';
import { administer, freshDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';
import { pgbouncer } from '../../services.ts';

/** As pg remembers which statements the server has. */
interface Parsed {
  readonly connection: { readonly parsedStatements: object };
}

test.skipIf(!pgbouncer.isPresent())(
  'commands, transactions and the relay work, and leave nothing on connections that others use',
  async () => {
    const direct = await freshDatabase();
    await using bouncer = await PgBouncer.before(direct);
    await migrate({ connection: bouncer.url });
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir, store: postgres({ connectionString: bouncer.url }), shards: 1 });
    const heard: string[] = [];
    runtime.bus.on('*', ({ aggregateId, version }) => void heard.push(`${aggregateId}@${version}`));
    const pool = new pg.Pool({ connectionString: bouncer.url, max: 6 });
    const named: string[] = [];
    const ids = Array.from({ length: 30 }, (_, i) => `i-${i}`);
    await Promise.all(
      ids.map(async (id) => {
        const client = await pool.connect();
        await client.query('begin');
        await runtime.store.saveWithTx(client, [{ aggregateType: 'invoice', aggregateId: id, type: 'Made', data: {} }]);
        await client.query(`select trunkline.raise_event('invoice', $1, 'Paid', '{}')`, [id]);
        await client.query('commit');
        named.push(...Object.keys((client as unknown as Parsed).connection.parsedStatements));
        client.release();
        await runtime.ref(Counter, id).with({ ack: 'stored' }).add(1);
      }),
    );
    await until(
      () => heard.length,
      (length) => length === 90,
    );
    expect(heard.toSorted()).toEqual(ids.flatMap((id) => [`${id}@1`, `${id}@1`, `${id}@2`]).toSorted());
    expect(named).toEqual([]);
    expect(runtime.status().relay).toMatchObject({ state: 'relaying', lastError: undefined });
    await pool.end();
    await runtime.close();
    const locks = `select count(*)::int as count from pg_locks where locktype = 'advisory'
      and database = (select oid from pg_database where datname = current_database())`; // other files use the server, too
    expect(await administer(direct, locks)).toEqual([{ count: 0 }]);
    const again = await startRuntime({ dataDir, store: postgres({ connectionString: direct }), shards: 1 });
    again.bus.on('*', ({ aggregateId, version }) => void heard.push(`${aggregateId}@${version}`));
    await administer(direct, "select trunkline.raise_event('invoice', 'later', 'Made', '{}')");
    await until(
      () => heard,
      (list) => list.includes('later@1'),
    );
  },
);

test('nothing in the source needs that the next statement meets the same session', () => {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const needs =
    /pg_(?:try_)?advisory_(?:un)?lock(?:_shared)?\s*\(|\blisten [a-z_]|\bprepare [a-z_]+ as\b|`trunkline_[a-z]+_\$|name: ['`]trunkline_/i;
  const found: string[] = [];
  for (const folder of ['src', 'migrations']) {
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|sql)$/.test(file)) continue;
      const text = readFileSync(join(root, folder, file), 'utf8').replaceAll(/^\s*(?:\/\/|--|\*).*$/gm, '');
      if (needs.test(text)) found.push(`${folder}/${file}`);
    }
  }
  expect(found).toEqual([]);
});
