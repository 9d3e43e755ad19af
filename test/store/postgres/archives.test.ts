// Archives as the only place of dropped events: what may take their place, what a drop believes, and statements that are bounded.
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type pg from 'pg';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readArchive, verifyArchive } from '../../../src/adapters/postgres/partitions/archive-file.ts';
import { writeArchive } from '../../../src/adapters/postgres/partitions/archive-writing.ts';
import { archiveMonth, dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { migrate } from '../../../src/adapters/postgres/schema/migrate.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { listPartitions } from '../../../src/adapters/postgres/schema/partition-list.ts';
import { freshDatabase } from '../../postgres.ts';
import { errorOf, scratchFolder } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

const month = '2024-05';
let url: string;
let schemas = 0;
let schema: string;
let client: pg.Client;
let folder: string;
const clients = new Clients();

const connected = (): Promise<pg.Client> => clients.connect(url);

async function store(): Promise<string> {
  const name = `archives_${++schemas}`;
  await migrate({ connection: url, schema: name });
  await client.query(`select ${name}.make_partition('${month}-10T00:00:00Z')`);
  return name;
}

const insert = (to: string, id: string, count = 1, at = `${month}-10T00:00:00Z`): Promise<unknown> =>
  client.query(
    `insert into ${to}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'stock', $1, i, 'Sold', 1, $2::timestamptz, '{}' from generate_series(1, $3::int) i`,
    [id, at, count],
  );

/** `act` before the first statement of this client's that matches; returns whether there was one. */
function before(on: pg.Client, pattern: RegExp, act: () => unknown): () => boolean {
  const real = on.query.bind(on) as (...words: any[]) => any;
  let hasActed = false;
  on.query = ((...words: any[]) => {
    const isIt = !hasActed && typeof words[0] === 'string' && pattern.test(words[0]); // COPY goes by a stream
    if (!isIt) return real(...words);
    hasActed = true;
    return Promise.resolve(act()).then(() => real(...words));
  }) as typeof on.query;
  return () => hasActed;
}

const rowsIn = async (of: string): Promise<number> => (await client.query(`select from ${of}.domain_events`)).rowCount!;

beforeAll(async () => {
  url = await freshDatabase();
});
beforeEach(async () => {
  client = await connected();
  schema = await store();
  folder = scratchFolder();
});
afterEach(() => clients.end());

test('while one archive takes its place, nobody else archives or drops the month', async () => {
  await insert(schema, 'a', 2);
  await archiveMonth(client, schema, month, folder);
  const [slow, other, third] = [await connected(), await connected(), await connected()];
  let outcomes: (string | undefined)[] = [];
  const wasHeld = before(slow, /^select$/, async () => {
    await insert(schema, 'late');
    const both = [archiveMonth(other, schema, month, folder), dropMonth(third, schema, month, undefined, true)];
    outcomes = await Promise.all(both.map(async (one) => (await errorOf(one)).code as string));
  });
  await archiveMonth(slow, schema, month, folder);
  expect(wasHeld()).toBe(true);
  expect(outcomes).toEqual(['FileRefused', 'FileRefused']);
  expect(await rowsIn(schema)).toBe(3);
});

test('an archive that has changed since it was looked at, or whose writer has lost its lock, is not replaced', async () => {
  await insert(schema, 'a', 2);
  const { file } = await archiveMonth(client, schema, month, folder);
  const slow = await connected();
  before(slow, /^select$/, () => writeFileSync(file, 'newer'));
  expect(await errorOf(archiveMonth(slow, schema, month, folder))).toMatchObject({ code: 'FileRefused' });
  expect(readFileSync(file, 'utf8')).toBe('newer');
  rmSync(file);
  const cut = await connected();
  const { rows } = await cut.query('select pg_backend_pid() as pid');
  before(cut, /^select$/, async () => {
    await client.query('select pg_terminate_backend($1, 30000)', [rows[0].pid]);
  });
  await expect(archiveMonth(cut, schema, month, folder)).rejects.toThrow();
  expect((await errorOf(verifyArchive(file))).message).toMatch(/it is not there; archive/);
});

test.each<[string, (file: string) => void]>([
  ['removed', (file) => rmSync(file)],
  ['replaced by another', (file) => writeFileSync(file, readFileSync(file))],
])('an archive that is %s while the drop waits for its lock drops nothing', async (_, change) => {
  await insert(schema, 'a', 3);
  const { file } = await archiveMonth(client, schema, month, folder);
  const other = await connected();
  const wasHeld = before(other, /access exclusive/, () => change(file));
  expect(await errorOf(dropMonth(other, schema, month, folder, false))).toMatchObject({ code: 'PartitionNeeded' });
  expect(wasHeld()).toBe(true);
  expect(await rowsIn(schema)).toBe(3);
});

test('two stores that share a folder do not replace each other, and an archive says whose it is', async () => {
  await insert(schema, 'a', 3);
  const { file, origin } = await archiveMonth(client, schema, month, folder);
  expect(origin).toMatchObject({ schema, month, database: new URL(url).pathname.slice(1) });
  await dropMonth(client, schema, month, folder, false);
  const bytes = readFileSync(file);
  const second = await store();
  await insert(second, 'b', 5);
  const error = await errorOf(archiveMonth(client, second, month, folder));
  expect(error).toMatchObject({ code: 'FileRefused', message: expect.stringContaining(`schema ${schema}`) });
  expect(readFileSync(file)).toEqual(bytes);
});

test('an archive without origin is replaced only by one that holds the ids of all its events', async () => {
  await insert(schema, 'a', 3);
  const { rows } = await client.query(`select sequence::int, id from ${schema}.domain_events order by sequence`);
  const write = (file: string, events: object[]): Promise<unknown> =>
    writeArchive(file, Readable.from(events.map((row) => Buffer.from(`${JSON.stringify(row)}\n`))));
  const { file } = await archiveMonth(client, schema, month, folder);
  rmSync(file);
  await write(file, [rows[0], { ...rows[1], id: 'of another store' }]);
  const old = readFileSync(file);
  expect(await errorOf(archiveMonth(client, schema, month, folder))).toMatchObject({
    code: 'ArchiveNeeded',
    details: { events: 1 },
  });
  expect(readFileSync(file)).toEqual(old);
  rmSync(file);
  await write(file, rows.slice(0, 2));
  expect(await archiveMonth(client, schema, month, folder)).toMatchObject({ events: 3 });
});

test('what has the name of an archive and cannot be understood stays, and is refused by name with what to do', async () => {
  await insert(schema, 'a', 3);
  const { file } = await archiveMonth(client, schema, month, folder);
  const whole = readFileSync(file);
  const flipped = zstdCompressSync(String(zstdDecompressSync(whole)).replace('Sold', 'Told'));
  const lines = 'no event\n'.repeat(3);
  const sha256 = createHash('sha256').update(lines).digest('hex');
  const forged = zstdCompressSync(`${lines}{"end":true,"events":3,"lastSequence":1,"sha256":"${sha256}"}\n`);
  for (const bytes of [flipped, whole.subarray(0, -20), Buffer.alloc(0), forged]) {
    writeFileSync(file, bytes);
    const error = await errorOf(archiveMonth(client, schema, month, folder));
    expect(error).toMatchObject({ code: 'ArchiveDamaged', details: { file } });
    expect(error.message).toContain('move it aside');
    expect(readFileSync(file)).toEqual(bytes);
  }
  for (const make of [() => mkdirSync(file), () => symlinkSync(join(folder, 'of a disk that is not there'), file)]) {
    rmSync(file, { recursive: true });
    make();
    expect((await errorOf(archiveMonth(client, schema, month, folder))).code).toBe('ArchiveDamaged');
  }
});

test('a folder that every user may write into is neither archived into nor believed', async () => {
  await insert(schema, 'a', 3);
  const { file } = await archiveMonth(client, schema, month, folder);
  chmodSync(realpathSync(folder), 0o777);
  const unsafe = { code: 'DataDirUnsafe', message: expect.stringContaining('chmod o-w') };
  expect(await errorOf(archiveMonth(client, schema, month, folder))).toMatchObject(unsafe);
  expect(await errorOf(dropMonth(client, schema, month, folder, false))).toMatchObject(unsafe);
  expect(await rowsIn(schema)).toBe(3);
  let read = 0;
  for await (const _ of readArchive(file)) read++;
  expect(read).toBe(3);
});

test('upkeep moves a month in smaller pages, and one that fails keeps no other from being made', async () => {
  await insert(schema, 'slow', 120, '2024-06-10T00:00:00Z');
  await insert(schema, 'stuck', 1, '2024-04-10T00:00:00Z');
  await client.query(
    `create function ${schema}.slow(id text) returns bool language plpgsql as
       $$ begin perform pg_sleep(case id when 'stuck' then 3 when 'slow' then 0.01 else 0 end); return true; end $$;
     alter table ${schema}.domain_events add constraint slow check (${schema}.slow(aggregate_id)) not valid`,
  );
  const bounded = await connected();
  await bounded.query('set statement_timeout = 1000');
  expect((await errorOf(keepPartitions(bounded, schema, 2))).code).toBe('StoreTooSlow');
  const rows = new Map((await listPartitions(client, schema)).map((one) => [one.month, one.rows]));
  expect([rows.get('2024-06'), rows.get(undefined), rows.size]).toEqual([120, 1, 6]); // with this month and two ahead
  expect(rows.has('2024-04')).toBe(false);
});

test('a drop looks in smaller pages whether a month has changed, where a statement may not take long', async () => {
  await insert(schema, 'a', 200);
  await archiveMonth(client, schema, month, folder);
  const bounded = await connected();
  const real = bounded.query.bind(bounded) as (...words: any[]) => any;
  let ended = 0;
  bounded.query = ((...words: any[]) => {
    const isLong = typeof words[0] === 'string' && words[0].includes('hashtextextended') && !(words[1]?.[1] <= 50);
    if (!isLong) return real(...words);
    ended++;
    const end = (): Promise<unknown> => real('set statement_timeout = 0');
    return real('set statement_timeout = 1').then(() => real('select pg_sleep(10)').finally(end));
  }) as typeof bounded.query;
  await dropMonth(bounded, schema, month, folder, false);
  expect(ended).toBeGreaterThan(0);
  expect(await rowsIn(schema)).toBe(0);
});

test('an archive that is there is read before the lock: no transaction stands open over files', async () => {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'of.jsonl.zst');
  const rows = (): Readable => Readable.from([Buffer.from('{"sequence":1,"id":"a"}\n')]);
  await writeArchive(file, rows());
  const damaged = readFileSync(file).subarray(0, -20);
  writeFileSync(file, damaged);
  const taken: string[] = [];
  const alone = async (work: (stillAlone: () => Promise<void>) => Promise<any>): Promise<any> => {
    taken.push('lock');
    const done = await work(async () => void taken.push('still'));
    taken.push('end');
    return done;
  };
  expect(await errorOf(writeArchive(file, rows(), undefined, {}, { alone }))).toMatchObject({ code: 'ArchiveDamaged' });
  expect(taken).toEqual([]);
  rmSync(file);
  await writeArchive(file, rows(), undefined, {}, { alone });
  expect(taken).toEqual(['lock', 'still', 'end']);
});
