// The rights that docs/how-to/use-entities.md names, and no others: enough for what they are for.
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { expect, test } from 'vitest';
import { PartitionUpkeep } from '../../src/adapters/postgres/partitions/upkeep.ts';
import { runProgram } from '../../src/cli/program.ts';
import { migrate, type NewEvent, openEventStore, postgres } from '../../src/index.ts';
import { tailEvents } from '../../src/postgres.ts';
import { administer, freshDatabase, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, startRuntime, until } from '../runtime/scratch.ts';
import { saverGrants } from '../store/postgres/saver.ts';

test('a role with the rights for saveWithTx saves, one with those for raise_event raises, and not the other way', async () => {
  const owner = await migratedDatabase();
  const [app, billing] = [`app_${process.pid}`, `billing_${process.pid}`];
  await administer(
    owner,
    `create role ${app} login password 'p'; create role ${billing} login password 'p';
     ${saverGrants(app)}; grant usage on schema trunkline to ${billing};
     grant execute on function trunkline.raise_event to ${billing};
     insert into trunkline.raise_rights values ('${billing}', 'invoice', 'Made')`,
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
  // By the functions alone: not by rows of its own, and it reads none.
  for (const row of [
    'outbox (sequence, id, occurred_at) values (1, gen_random_uuid(), now())',
    'aggregates default values',
  ]) {
    expect((await errorOf(saves.query(`insert into trunkline.${row}`))).code).toBe('42501');
  }
  expect((await errorOf(saves.query('select from trunkline.domain_events'))).code).toBe('42501');
  const sql = "select trunkline.raise_event('invoice', 'four', 'Made', '{}') as version";
  expect((await raises.query(sql)).rows).toEqual([{ version: 1 }]);
  expect((await errorOf(saves.query(sql))).code).toBe('42501');
  // What it was not given; its name is the server's word, whatever it says itself.
  for (const call of ["'payment', 'p', 'Made', '{}'", "'invoice', 'p', 'Paid', '{}'"]) {
    expect((await errorOf(raises.query(`select trunkline.raise_event(${call})`))).code).toBe('42501');
  }
  await raises.query(`select trunkline.raise_event('invoice', 'five', 'Made', '{}', '{"databaseRole": "postgres"}')`);
  const [raised] = await administer(owner, "select metadata from trunkline.domain_events where aggregate_id = 'five'");
  expect(raised.metadata).toEqual({ databaseRole: billing });
  await save([{ ...event, aggregateId: 'six', metadata: { databaseRole: billing, databaseLogin: billing, own: 1 } }]);
  const [saved] = await administer(owner, "select metadata from trunkline.domain_events where aggregate_id = 'six'");
  expect(saved.metadata).toEqual({ own: 1 });
  expect((await errorOf(raises.query("insert into trunkline.raise_rights values ('x', '*')"))).code).toBe('42501');
  expect((await errorOf(raises.query('select from trunkline.domain_events'))).code).toBe('42501');
  await Promise.all([saves.end(), raises.end()]);
  await runtime.close();
  await administer(owner, `drop owned by ${app}, ${billing}; drop role ${app}, ${billing}`);
});

test('a type that raise_rights names comes through transactions alone, and one that stays open holds up no other', async () => {
  const url = await migratedDatabase();
  await administer(url, `insert into trunkline.raise_rights values ('*', 'invoice', 'Made'), ('*', '*', 'Seen')`);
  const store = postgres({ connectionString: url });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`begin; select trunkline.raise_event('invoice', 'before', 'Made', '{}')`);
  const runtime = await startRuntime({ aggregates: [Counter], store, shards: 1 });
  const event = (aggregateType: string): NewEvent => ({ aggregateType, aggregateId: 'next', type: 'Made', data: {} });
  await client.query(`select trunkline.raise_event('invoice', 'next', 'Made', '{}')`);
  const refused = { code: 'AggregateTypeOwnedElsewhere', details: { aggregateType: 'invoice' } };
  expect(await errorOf(runtime.publisher.publish(event('order'), event('invoice')))).toMatchObject(refused);
  expect(await errorOf(runtime.store.save([event('invoice')], {}))).toMatchObject(refused);
  expect(() => runtime.publisher.publishAsync(event('invoice'))).toThrow(
    expect.objectContaining({ code: refused.code }),
  );
  await runtime.ref(Counter, 'beside').with({ ack: 'stored' }).add(1);
  await client.query('commit; begin');
  await runtime.store.saveWithTx(client, [event('invoice')]);
  await client.query('commit');
  await runtime.store.save([event('order')], {});
  const isRefused = async (): Promise<boolean> => {
    const outcome = await runtime.publisher.publish(event('order')).catch((error: { code: string }) => error.code);
    return outcome === 'AggregateTypeOwnedElsewhere';
  };
  await client.query(`insert into trunkline.raise_rights values ('biller', 'order', '*')`);
  await until(isRefused, (holds) => holds);
  await client.query('delete from trunkline.raise_rights');
  await until(isRefused, (holds) => !holds);
  expect(runtime.status().quarantined).toBe(0);
  await client.end();
});

test('a role that saves makes no head of a type that the log writes: its open transaction holds up nothing, and its own types are its', async () => {
  const url = await migratedDatabase();
  const ledger = `ledger_${process.pid}`;
  await administer(url, `create role ${ledger} login password 'p'; ${saverGrants(ledger, 'trunkline', 'invoice')}`);
  const own = new URL(url);
  [own.username, own.password] = [ledger, 'p'];
  const client = new pg.Client({ connectionString: own.href });
  await client.connect();
  const runtime = await startRuntime({ store: postgres({ connectionString: url }), shards: 1 });
  const event = (aggregateType: string): NewEvent => ({ aggregateType, aggregateId: 'next', type: 'Made', data: {} });
  for (const events of [[event('order')], [event('invoice'), event('order')]]) {
    await client.query('begin; savepoint s');
    expect(await errorOf(runtime.store.saveWithTx(client, events))).toMatchObject({
      code: '42501',
      message: `role ${ledger} may not save order.Made: raise_rights needs a row ('${ledger}', 'order', '*')`,
    });
    await client.query('rollback to s'); // it stays open
    await runtime.publisher.publish(event('order'));
    await runtime.reached('stored');
    await client.query('commit');
  }
  await client.query('begin');
  await runtime.store.saveWithTx(client, [event('invoice')]);
  await client.query('commit');
  const refused = { code: 'AggregateTypeOwnedElsewhere', details: { aggregateType: 'invoice' } };
  expect(await errorOf(runtime.publisher.publish(event('invoice')))).toMatchObject(refused);
  expect(await errorOf(runtime.store.save([event('invoice')], {}))).toMatchObject(refused);
  // The service itself saves any.
  const service = new pg.Client({ connectionString: url });
  await service.connect();
  await service.query('begin');
  await runtime.store.saveWithTx(service, [event('invoice'), { ...event('payment'), aggregateId: 'p' }]);
  await service.query('commit');
  await until(
    () => runtime.status().relay!.relayed,
    (count) => count === 3,
  );
  await runtime.reached('stored');
  expect(runtime.status().quarantined).toBe(0);
  await Promise.all([client.end(), service.end()]);
  await runtime.close();
  await administer(url, `drop owned by ${ledger}; drop role ${ledger}`);
});

test('with the roles of the guide to hardening a runtime runs without a complaint, and readers read', async () => {
  const owner = await freshDatabase();
  const database = new URL(owner).pathname.slice(1);
  const guide = readFileSync(new URL('../../docs/security/hardening.md', import.meta.url), 'utf8');
  const named = (sql: string): string =>
    sql
      .replaceAll(/\b(migrator|service|reporting)\b/g, `$1_${process.pid}`)
      .replaceAll(/create role (\w+) login/g, "create role $1 login password 'p'")
      .replaceAll('database app', `database ${database}`);
  const [roles, grants] = [...guide.matchAll(/```sql\n([\s\S]*?)```/g)].map((match) => named(match[1]!));
  await administer(owner, roles!);
  const urlOf = (role: string): string => {
    const url = new URL(owner);
    [url.username, url.password] = [`${role}_${process.pid}`, 'p'];
    return url.href;
  };
  const [migrator, service, reporting] = [urlOf('migrator'), urlOf('service'), urlOf('reporting')];
  await migrate({ connection: migrator });
  await administer(migrator, grants!);
  const lacking = `function trunkline.make_partition`;
  await administer(migrator, named(`revoke execute on ${lacking} from service`));
  const complaints: string[] = [];
  const complain = (_details: object, message: string): void => void complaints.push(message);
  const logger = { debug() {}, info() {}, warn: complain, error: complain };
  const store = postgres({ connectionString: service });
  let runtime = await startRuntime({ aggregates: [Counter], shards: 1, logger, store });
  const handler = runtime.subscribe({ name: 'h', handle: (event, { tx }) => tx.put('seen', event.id, true) });
  const receipt = await runtime.ref(Counter, runtime.newId()).with({ ack: 'stored', idempotencyKey: 'k' }).add(1);
  await handler.caughtUpTo(receipt);
  await runtime.store.save([{ aggregateType: 'invoice', aggregateId: 'one', type: 'Made', data: {} }], {});
  const wherever = 'select distinct tableoid::regclass::text as place from trunkline.domain_events';
  await runtime.reached('stored');
  expect(await administer(owner, wherever)).toEqual([{ place: 'trunkline.domain_events_default' }]);
  await runtime.close();
  expect(complaints.splice(0)).toEqual([expect.stringContaining('may not execute make_partition')]);
  // As the guide has it. What lies in the default partition is moved by the migrator: until then the upkeep makes those ahead, and
  // says so once.
  await administer(migrator, named(`grant execute on ${lacking} to service`));
  const upkeep = new PartitionUpkeep(store.settings, (error) => complaints.push(error.message));
  for (let i = 0; i < 2; i++) await upkeep.keepOnce();
  const [month] = upkeep.status.monthsInDefault;
  expect(upkeep.status.missingMonths).toEqual([month]);
  expect(complaints.splice(0)).toEqual([expect.stringContaining('run trunkline partitions make as their owner')]);
  expect(await runProgram(['node', 'trunkline', 'partitions', 'make', '--postgres', migrator])).toBe(0);
  await upkeep.keepOnce();
  expect(upkeep.status).toMatchObject({ missingMonths: [], monthsInDefault: [], lastError: undefined });
  runtime = await startRuntime({ aggregates: [Counter], shards: 1, logger, store });
  await (await runtime.ref(Counter, runtime.newId()).add(1)).reached('stored');
  expect(await administer(owner, wherever)).toEqual([{ place: expect.stringMatching(/domain_events_\d{4}_\d\d$/) }]);
  await runtime.close();
  expect(complaints).toEqual([]);
  await using archive = await openEventStore(postgres({ connectionString: reporting }));
  expect(await archive.getByType('Added')).toHaveLength(2);
  for await (const { event } of tailEvents({ connection: reporting })) {
    expect(event.aggregateType).toBe('counter');
    break;
  }
  const refused = [
    [reporting, 'delete from trunkline.domain_events'],
    [service, "insert into trunkline.raise_rights values ('*', '*')"],
    [service, 'delete from trunkline.trunkline_migrations'],
    [service, 'create table trunkline.own (a int)'],
    [service, "select trunkline.raise_event('invoice', 'x', 'Made', '{}')"],
  ] as const;
  for (const [url, sql] of refused) expect((await errorOf(administer(url, sql))).code, sql).toBe('42501');
  // One by one: the server cannot drop two that one default privilege names in one statement.
  for (const role of ['service', 'reporting', 'migrator']) {
    await administer(owner, `drop owned by ${role}_${process.pid} cascade`);
    await administer(owner, `drop role ${role}_${process.pid}`);
  }
});
