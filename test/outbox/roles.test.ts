// The rights that README names, and no others: enough for what they are for.
import pg from 'pg';
import { expect, test } from 'vitest';
import { migrate, type NewEvent, postgres } from '../../src/index.ts';
import { administer, freshDatabase } from '../postgres.ts';
import { errorOf, startRuntime } from '../runtime/scratch.ts';

test('a role with the rights for saveWithTx saves, one with those for raise_event raises, and not the other way', async () => {
  const owner = await freshDatabase();
  await migrate({ connection: owner });
  const [app, billing] = [`app_${process.pid}`, `billing_${process.pid}`];
  await administer(
    owner,
    `create role ${app} login password 'p'; create role ${billing} login password 'p';
     grant usage on schema trunkline to ${app}, ${billing};
     grant select, insert, update on trunkline.aggregates, trunkline.domain_events, trunkline.outbox to ${app};
     grant select on trunkline.actor_types to ${app};
     grant usage on sequence trunkline.domain_events_sequence to ${app};
     grant execute on function trunkline.raise_event to ${billing}`,
  );
  const connected = async (role: string): Promise<pg.Client> => {
    const url = new URL(owner);
    [url.username, url.password] = [role, 'p'];
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    return client;
  };
  const runtime = await startRuntime({ store: postgres({ connectionString: owner }), shards: 1 });
  const [saves, raises] = [await connected(app), await connected(billing)];
  const event = { aggregateType: 'invoice', type: 'Made', data: {} };
  const save = async (events: NewEvent[]): Promise<void> => {
    await saves.query('begin');
    try {
      await runtime.store.saveWithTx(saves, events);
      await saves.query('commit');
    } catch (error) {
      await saves.query('rollback');
      throw error;
    }
  };
  for (const version of [1, 2]) {
    await save([{ ...event, aggregateId: 'one', version }]);
  }
  await save([
    { ...event, aggregateId: 'two', version: 1 },
    { ...event, aggregateId: 'two', version: 2 },
  ]);
  await save([{ ...event, aggregateId: 'three' }]);
  const conflict = save([{ ...event, aggregateId: 'one', version: 1 }]);
  expect((await errorOf(conflict)).code).toBe('ConcurrencyConflict');
  const sql = "select trunkline.raise_event('invoice', 'four', 'Made', '{}') as version";
  expect((await raises.query(sql)).rows).toEqual([{ version: 1 }]);
  expect((await errorOf(saves.query(sql))).code).toBe('42501');
  expect((await errorOf(raises.query('select from trunkline.domain_events'))).code).toBe('42501');
  await Promise.all([saves.end(), raises.end()]);
  await runtime.close();
  await administer(owner, `drop owned by ${app}, ${billing}; drop role ${app}, ${billing}`);
});
