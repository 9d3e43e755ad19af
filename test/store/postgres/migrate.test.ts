// Migrations against the real server: applied once, whole or not at all, refused when they do not fit.
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { migrate, postgres } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { administer, freshDatabase } from '../../postgres.ts';
import { errorOf } from '../../runtime/scratch.ts';

const own = fileURLToPath(new URL('../../../migrations', import.meta.url));
const folders: string[] = [];
let connection: string;

beforeEach(async () => {
  connection = await freshDatabase();
});

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function folderWith(name: string, sql: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-migrations-'));
  folders.push(folder);
  cpSync(own, folder, { recursive: true });
  writeFileSync(join(folder, name), sql);
  return folder;
}

const next = (count: number, name: string): string => `${String(count + 1).padStart(6, '0')}-${name}.sql`;

/** Of files that databases have applied: one that is changed, in a comment only, is refused by all of them. A new file adds a line. */
const checksums: Readonly<Record<string, string>> = {
  '000001-domain-events.sql': '3743f72aa625b85cb97fefa169dd21c2ee42b005347cafc5991e3b27d0b2c27f',
  '000002-outbox.sql': 'b3b745f765e66caf68a1162b9777f6967afe98a65a8967aacd0643384a7156a7',
  '000003-handlers.sql': 'c6de9fc9bbc355100880e4f1fb3c0034cbdafd6ffdcbfc4ad9d9d256e7236a0f',
  '000004-relay.sql': '9fe423029b710b4396be8508c5c6f9f66e96580247c23cc41b55a83dd26460f5',
  '000005-event-limits.sql': 'd6d5190b6e776ec6ef6912dd72f42cd659ea368325676c9d7054cfc430720b0b',
  '000006-months.sql': '55e2da933e61e0491b082b7083f2c48141ce688fc5b640f7dca49c2e21579e7d',
  '000007-pinned-functions.sql': 'f3d235dbbfeb2056eb05d0cde791ff39412486ab90122d5d6080a8f97dd319d1',
  '000008-append.sql': '269c58b2f528fc59084075ee61bc7825d227cdf86c1f61203daa3e93c54ebd2c',
  '000009-rights.sql': 'df4de71191d9489bdc80e657adcc43fa932d300ebb1ed4d9e6afddfcfd7279c5',
  '000010-outbox-numbers.sql': '1c15475e7dc8b8ffa48a4b10ed6e7ab1ca35199b11b104d72378dcc55151ef18',
  '000011-locks.sql': '5a79ef45d74e41d1504494486fa39a779634a144b2d341db692917bc2b64f0e4',
  '000012-event-gate.sql': '05ebdaea21025946088b549e70c538a5e98469fc45a85c72a3c3d7926d6e69d3',
  '000013-held-aggregates.sql': '3c39a7f00375190d460eb20e52520a5b5121d4b2f960c2f5447c15e3cb4e9335',
  '000014-settled-types.sql': '043d765cac93a4206f1dd61ead04d26f93f7b709840cdeb82d7245492490cb52',
  '000015-months-ahead.sql': 'acafc863f24497ed01e6b5e460e1cb80b41b99f3971a9da880860204c9681b5e',
  '000016-role-in-effect.sql': 'a75c5798304bb4c9c017840c406524fcfefd3df4925bc4c7b3f79c72b9a5ac3e',
  '000017-own-steps.sql': 'b46d7cc28c5767f3a958d37402689a39e33674a0ec7c3e7e4759d38c61eb94e6',
  '000018-month-bounds.sql': '9fb61447fb739e4b6c2409790fd15aeeee3be776e8300cb926ee4c0aa1d6d883',
  '000019-no-held-aggregates.sql': 'fab0879ce629ca89c2c8407125b9817e3fdcb3f2a368bea98268931274611f58',
  '000020-heads-of-logs.sql': 'b258f547c0b0ea7d6ceb5c7a085e4a162c0c501486e939f98365f9f81921d972',
  '000021-months-by-services.sql': 'e69755153ad9de9ff279a06e6c6d6db55c6bca830e5f2e36270bf103cf4b736d',
  '000022-drawn-numbers.sql': '146acf1ce62992628ca324293be5da5e9b943b88442ceb4339c547a9fa87cec8',
  '000023-names-of-roles.sql': 'c705d13529b4e34e6d3a6e2cf2bffb027b69e321348be62f0f731c3bde8fb739',
  '000024-saving-by-execute.sql': '6d1918c38cd8166a1a5ba18bd83d9d78239825148ad1eeced9a8504bbeec6645',
  '000025-what-savers-write.sql': 'e8b88cee62de22a65c64740fc6c471fd52b1dbe701ddf3c8a7717218f93e183d',
  '000026-sizes-and-numbers.sql': '613ae7297f121845ada6c9a82029fa2e5389a98677d0e0960dbb3ca78c6b3d82',
  '000027-rights-to-save.sql': '0b8651d39b7a136d9140c1ac58c4d76b299bea340246721df4202f439fa5047d',
  '000028-no-rights-of-before.sql': '2515fde1195383a12801c6abf5ff49b9ff692f80142e67fa8127e41a7900ade0',
  '000029-versions-of-raised-events.sql': 'df8170e584ff93af17b7da57eddd5a5dc26edccb18a1795754ff521e3d162ecb',
};

test('files that databases have applied are as they were', () => {
  const found = readdirSync(own).map((file) => [
    file,
    createHash('sha256')
      .update(readFileSync(join(own, file)))
      .digest('hex'),
  ]);
  expect(Object.fromEntries(found)).toEqual(checksums);
});

test('an empty database gets all of them, and nothing the second time', async () => {
  const planned = await migrate({ connection, dryRun: true });
  expect(planned.version).toBe(0);
  expect(await administer(connection, "select to_regnamespace('trunkline') as schema")).toEqual([{ schema: null }]);
  const first = await migrate({ connection });
  expect(first.migrations).toEqual(planned.migrations);
  expect(first.version).toBe(first.migrations.length);
  expect(await migrate({ connection })).toMatchObject({ migrations: [], version: first.version });
});

test('the schema has the name that was asked for, quotes and all', async () => {
  const schema = 'Call "events"';
  await migrate({ connection, schema });
  const rows = await administer(connection, 'select count(*)::int as count from pg_tables where schemaname = $1', [
    schema,
  ]);
  expect(rows[0].count).toBeGreaterThan(5);
  expect(await migrate({ connection, schema: 'another' })).toMatchObject({ schema: 'another' });
});

test.each(['x'.repeat(64), 'pg_events', ''])(
  'a schema name that the server would bend is refused: %j',
  async (schema) => {
    const error = await errorOf(migrate({ connection, schema }));
    expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'schema' } });
  },
);

test('many at once: each file is applied once', async () => {
  const reports = await Promise.all(Array.from({ length: 5 }, () => migrate({ connection })));
  const applied = reports.flatMap(({ migrations }) => migrations.map(({ number }) => number));
  expect(applied.sort((a, b) => a - b)).toEqual(Array.from({ length: reports[0]!.version }, (_, i) => i + 1));
});

test('a migration that fails half-way leaves nothing, and the next try goes through', async () => {
  const { version } = await migrate({ connection });
  const name = next(version, 'extra');
  const broken = folderWith(name, 'create table extra (id int); select 1 / 0;');
  const error = await errorOf(migrate({ connection, folder: broken }));
  expect(error).toMatchObject({ code: 'MigrationFailed', details: { migration: name.slice(0, -4) } });
  expect(await administer(connection, "select to_regclass('trunkline.extra') as table")).toEqual([{ table: null }]);
  const cured = folderWith(name, 'create table extra (id int);');
  expect((await migrate({ connection, folder: cured })).version).toBe(version + 1);
});

test('held_aggregates goes only where no log of an earlier release has events waiting', async () => {
  const earlier = folderWith('none.sql', '');
  for (const file of readdirSync(earlier)) if (!(file < '000019')) rmSync(join(earlier, file));
  await migrate({ connection, folder: earlier });
  await administer(connection, "insert into trunkline.held_aggregates values ('a log', 'counter', 'one', 7)");
  expect(await errorOf(migrate({ connection }))).toMatchObject({
    code: 'MigrationFailed',
    details: { migration: '000019-no-held-aggregates', cause: expect.stringContaining('Run that release until') },
  });
  expect(await administer(connection, 'select position::int from trunkline.held_aggregates')).toEqual([
    { position: 7 },
  ]);
  await administer(connection, 'delete from trunkline.held_aggregates');
  await migrate({ connection });
  const sql = "select to_regclass('trunkline.held_aggregates') as table";
  expect(await administer(connection, sql)).toEqual([{ table: null }]);
});

test('a connection cut in the middle of a migration leaves nothing', async () => {
  const { version } = await migrate({ connection });
  const name = next(version, 'cut');
  const cut = folderWith(name, 'create table cut_off (id int); select pg_terminate_backend(pg_backend_pid());');
  expect(await errorOf(migrate({ connection, folder: cut }))).toMatchObject({ code: 'StoreUnavailable' });
  expect(await administer(connection, "select to_regclass('trunkline.cut_off') as table")).toEqual([{ table: null }]);
  expect((await migrate({ connection, folder: own })).version).toBe(version);
});

test('a newer database is refused, and so is one that other files made', async () => {
  const { version } = await migrate({ connection });
  const newer = folderWith(next(version, 'newer'), 'select 1;');
  await migrate({ connection, folder: newer });
  expect(await errorOf(migrate({ connection }))).toMatchObject({
    code: 'StoreSchemaNewer',
    details: { found: version + 1, supported: version },
  });
  const changed = folderWith(next(version, 'newer'), 'select 2;');
  expect(await errorOf(migrate({ connection, folder: changed }))).toMatchObject({ code: 'StoreSchemaMismatch' });
});

test('partitions are made by month; what lies in the default partition is left there', async () => {
  await migrate({ connection });
  const make = async (moment: string): Promise<unknown> =>
    (await administer(connection, 'select trunkline.make_partition($1) as name', [moment]))[0].name;
  expect(await make('2026-12-31T23:59:59.999Z')).toBe('domain_events_2026_12');
  expect(await make('2026-12-01T00:00:00Z')).toBe(null);
  expect(await make('2020-01-01T00:00:00Z')).toBe('domain_events_2020_01');
  const insert = `insert into trunkline.domain_events
    (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
    values (gen_random_uuid(), 'call', '1', 1, 'CallCreated', 1, $1, '{}') returning tableoid::regclass::text as partition`;
  const rows = await administer(connection, insert, ['2026-12-31T23:59:59.999Z']);
  expect(rows[0].partition).toBe('trunkline.domain_events_2026_12');
  expect((await administer(connection, insert, ['2020-02-01T00:00:00Z']))[0].partition).toMatch(/default/);
  expect(await make('2020-02-11T00:00:00Z')).toBe(null);
});

test('a connection that names no server is refused, wherever one is taken', async () => {
  const none = [
    undefined,
    null,
    '',
    'localhost',
    5432,
    {},
    { host: undefined },
    { host: '' },
    { connectionString: '' },
  ];
  for (const nameless of none as never[]) {
    expect(await errorOf(migrate({ connection: nameless }))).toMatchObject({ code: 'InvalidOptions' });
    expect(() => tailEvents({ connection: nameless })).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
    expect(() => postgres({ connectionString: nameless })).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
  }
});

test('no secret gets into an error', async () => {
  const wrong = new URL(connection);
  wrong.password = 'sesame-open';
  const denied = await errorOf(migrate({ connection: wrong.href }));
  expect(denied.code).toBe('StoreAccessDenied');
  wrong.port = '1';
  const away = await errorOf(migrate({ connection: wrong.href }));
  expect(away.code).toBe('StoreUnavailable');
  for (const error of [denied, away]) expect(JSON.stringify(error) + error.message).not.toContain('sesame');
});
