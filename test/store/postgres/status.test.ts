// What the store says of itself, however much and however old it is.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { statusReport } from '../../../src/adapters/postgres/commands/status.ts';
import { storeStatus } from '../../../src/adapters/postgres/schema/status.ts';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { administer, migratedDatabase } from '../../postgres.ts';

test('an event may wait in the outbox for years', async () => {
  const url = await migratedDatabase();
  await administer(url, `select trunkline.raise_event('invoice', 'old', 'Made', '{}')`);
  await administer(url, `update trunkline.outbox set occurred_at = '1999-12-31T00:00:00Z'`);
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 5000 });
  const { outbox } = await storeStatus(client, 'trunkline');
  await client.end();
  expect(outbox.waiting).toBe(1);
  expect(outbox.oldestMs).toBeGreaterThan(26 * 365 * 86_400_000);
  expect(Number.isInteger(outbox.oldestMs)).toBe(true);
});

test('of rows without a finite time no age is told', async () => {
  const url = await migratedDatabase();
  await administer(url, `select trunkline.raise_event('invoice', 'odd', 'Made', '{}')`);
  await administer(url, `alter table trunkline.outbox drop constraint outbox_times`); // earlier releases had none
  await administer(url, `update trunkline.outbox set occurred_at = '-infinity'`);
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 5000 });
  const { outbox } = await storeStatus(client, 'trunkline');
  const { lines } = await statusReport(client, 'trunkline', undefined);
  await client.end();
  expect(outbox).toEqual({ waiting: 1, oldestMs: undefined, claimed: [] });
  expect(lines).toContain('outbox: 1 events wait');
});

test('no statement makes a number smaller than it may become: counts and times are no 32-bit integers', () => {
  const src = fileURLToPath(new URL('../../../src', import.meta.url));
  const narrow = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (path) =>
      path.endsWith('.ts') &&
      /::(?:int|integer|int4|smallint|int2)\b(?!\[)/.test(readFileSync(`${src}/${path}`, 'utf8')),
  );
  expect(narrow).toEqual([]);
});
