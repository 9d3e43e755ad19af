// Rows of transactions that are larger than what migration 26 admits, from before it: no reader makes a value of them.
import { expect, test } from 'vitest';
import { PostgresArchive } from '../../../src/adapters/postgres/read/archive.ts';
import { postgres } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { administer, migratedDatabase } from '../../postgres.ts';

test.each([
  ['data', `jsonb_build_object('text', repeat('x', 2097153)), null`],
  ['metadata', `'{}', jsonb_build_object('text', repeat('x', 131073))`],
])('%s', async (what, columns) => {
  const url = await migratedDatabase();
  await administer(
    url,
    `set session_replication_role = replica;
     insert into trunkline.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, metadata)
     values (gen_random_uuid(), 'note', 'a', 1, 'Large', 1, now(), ${columns}),
       (gen_random_uuid(), 'note', 'a', 2, 'Small', 1, now(), '{}', null);
     insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, position, first_occurred_at, last_occurred_at)
     select 'note', 'a', 2, 0, 0, min(occurred_at), max(occurred_at) from trunkline.domain_events`,
  );
  const archive = new PostgresArchive(postgres({ connectionString: url }));
  const seen: number[] = [];
  for await (const { version } of archive.query()) seen.push(version);
  expect([seen, archive.unreadable]).toEqual([[2], 1]);
  const refusal = expect.objectContaining({ code: 'EventUnreadable', message: expect.stringContaining(what) });
  await expect(archive.getByAggregate('note', 'a')).rejects.toEqual(refusal);
  await archive.close();
  const errors: unknown[] = [];
  for await (const { event } of tailEvents({ connection: url, onError: (error) => errors.push(error) })) {
    expect(event.version).toBe(2);
    break;
  }
  expect(errors).toEqual([refusal]);
});
