// What is acknowledged is on disk, whatever `synchronous_commit` says of a role or a database, behind a pooler too: there
// nothing can be set for the session, so every transaction of ours says it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { beginSql } from '../../../src/adapters/postgres/session/session-sql.ts';
import { postgres } from '../../../src/index.ts';
import { PgBouncer } from '../../pgbouncer.ts';
import { administer, freshDatabase, migratedDatabase } from '../../postgres.ts';
import { scratchFolder, startRuntime } from '../../runtime/scratch.ts';
import { pgbouncer } from '../../services.ts';

const asked = "select current_setting('synchronous_commit') as is";

test('a transaction of ours commits durably, and as strongly as is asked for', async () => {
  const client = new pg.Client({ connectionString: await freshDatabase() });
  await client.connect();
  const found: string[] = [];
  for (const set of ['off', 'local', 'remote_write', 'on', 'remote_apply']) {
    await client.query(`set synchronous_commit = ${set}`);
    await client.query(beginSql());
    found.push((await client.query(asked)).rows[0].is);
    await client.query('commit');
    expect((await client.query(asked)).rows).toEqual([{ is: set }]);
  }
  await client.end();
  expect(found).toEqual(['on', 'on', 'on', 'on', 'remote_apply']);
});

test.skipIf(!pgbouncer.isPresent())('behind a pooler, what runtime.once does is durable', async () => {
  const direct = await migratedDatabase();
  await administer(direct, `alter database ${new URL(direct).pathname.slice(1)} set synchronous_commit = off`);
  await using bouncer = await PgBouncer.before(direct);
  const store = postgres({ connectionString: bouncer.url });
  const runtime = await startRuntime({ dataDir: scratchFolder(), store, shards: 1 });
  let found: unknown;
  await runtime.once('asks', async (tx) => {
    found = (await (await tx.client()).query(asked)).rows;
  });
  await runtime.close();
  expect(found).toEqual([{ is: 'on' }]);
});

/** Files whose statements all run within transactions that these begin. */
const within: Readonly<Record<string, string>> = {
  'adapters/postgres/handlers/row-table-sql.ts': 'adapters/postgres/handlers/entries-sql.ts',
  'adapters/postgres/handlers/log-readers-sql.ts': 'adapters/postgres/handlers/log-readers.ts',
  'adapters/postgres/flush/heads-sql.ts': 'adapters/postgres/flush/flush-transaction-sql.ts',
  'adapters/postgres/session/locks-sql.ts': 'adapters/postgres/schema/months.ts',
  'adapters/postgres/flush/relayed-sql.ts': 'adapters/postgres/flush/flush-transaction-sql.ts',
  'adapters/postgres/flush/quarantine-sql.ts': 'adapters/postgres/flush/flush-transaction-sql.ts',
  'adapters/postgres/read/aggregate-sql.ts': 'adapters/postgres/read/aggregate-reader.ts',
  'adapters/postgres/partitions/month-archive-sql.ts': 'adapters/postgres/partitions/month-archive.ts',
  'adapters/postgres/schema/months-sql.ts': 'adapters/postgres/schema/months.ts',
  'adapters/postgres/schema/migrations-sql.ts': 'adapters/postgres/schema/migrate.ts',
};

test('every statement that writes is sent within a transaction that is durable, or is durable itself', () => {
  const root = fileURLToPath(new URL('../../../src/', import.meta.url));
  const textOf = (file: string): string =>
    readFileSync(join(root, file), 'utf8').replaceAll(/^\s*(?:\/\/|\*|\/\*\*).*$/gm, '');
  const isBegun = (file: string): boolean => /\bbegin(?:Shared)?Sql\(/.test(textOf(file));
  const writes = /\b(?:insert into|delete from|(?<!do )update) \$\{/;
  const found: string[] = [];
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || !writes.test(textOf(file))) continue;
    if (isBegun(within[file] ?? file)) continue;
    for (const member of textOf(file).split(/^(?: {2})?\}$/m)) {
      for (const statement of member.split(/;\n/)) {
        if (writes.test(statement) && !statement.includes(`\${durable}`)) found.push(`${file}: ${statement.trim()}`);
      }
    }
  }
  expect(found).toEqual([]);
});
