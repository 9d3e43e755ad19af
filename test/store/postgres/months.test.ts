// Months made and filled while others insert; archives that a crash, a cut or a curious hand has touched.
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readArchive, verifyArchive } from '../../../src/adapters/postgres/partitions/archive-file.ts';
import { writeArchive } from '../../../src/adapters/postgres/partitions/archive-writing.ts';
import { archiveMonth, dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { PartitionUpkeep } from '../../../src/adapters/postgres/partitions/upkeep.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { listPartitions } from '../../../src/adapters/postgres/schema/partition-list.ts';
import { timeText } from '../../../src/adapters/postgres/session/time-text.ts';
import { postgres } from '../../../src/index.ts';
import { elsewhere, migratedDatabase } from '../../postgres.ts';
import { errorOf, scratchFolder } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

let url: string;
const schema = elsewhere;
let client: pg.Client;
const clients = new Clients();

const connected = (): Promise<pg.Client> => clients.connect(url);

/** Events of one aggregate, one a day from the first of that month. */
const insert = (on: pg.Client, month: string, count: number, id = 'a', first = 1): Promise<unknown> =>
  on.query(
    `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, metadata)
     select gen_random_uuid(), 'stock', $1, i, 'Sold', 1, $2::timestamptz + make_interval(secs => i),
       json_build_object('text', E'tab\\t, \\\\back\\\\slash, "quote", ü, 😀, line\\n', 'n', i, 'big', 12345678901234567890)::jsonb, '{"source": "test"}'
     from generate_series($3::int, $4::int) i`,
    [id, `${month}-01T00:00:00Z`, first, first + count - 1],
  );

beforeEach(async () => {
  url = await migratedDatabase(schema);
  client = await connected();
});
afterEach(() => clients.end());

describe('upkeep', () => {
  test('makes this month and the next ones, once', async () => {
    expect(await keepPartitions(client, schema, 3)).toHaveLength(4);
    expect(await keepPartitions(client, schema, 3)).toEqual([]);
  });

  test('empties the default partition while others go on inserting into it; no event is lost, none is seen twice', async () => {
    await insert(client, '2024-05', 2000);
    const writers = await Promise.all([connected(), connected()]);
    const reader = await connected();
    let isOver = false;
    const counts: number[] = [];
    const writing = writers.map(async (writer, w) => {
      let n = 0;
      while (!isOver) await insert(writer, w === 0 ? '2024-05' : '2024-06', 1, `w${w}`, ++n);
      return n;
    });
    const reading = (async () => {
      while (!isOver) {
        const { rows } = await reader.query(
          `select count(*)::int as count from ${schema}.domain_events where aggregate_id = 'a'`,
        );
        counts.push(rows[0].count);
      }
    })();
    const made = await keepPartitions(client, schema, 0);
    isOver = true;
    const written = await Promise.all(writing);
    await reading;
    expect(written.every((count) => count > 0)).toBe(true);
    expect(made).toContain('domain_events_2024_05');
    expect(new Set(counts)).toEqual(new Set([2000]));
    await keepPartitions(client, schema, 0);
    const partitions = await listPartitions(client, schema);
    const rows = Object.fromEntries(partitions.map(({ name, rows: count }) => [name, count]));
    expect(rows).toMatchObject({
      domain_events_2024_05: 2000 + written[0]!,
      domain_events_2024_06: written[1],
      domain_events_default: 0,
    });
  });

  test('of several at once one works, and a lock that somebody holds for long is not waited for', async () => {
    await insert(client, '2024-05', 10);
    const holder = await connected();
    await holder.query(`begin; lock table only ${schema}.domain_events in row exclusive mode`); // as an insert does
    const errors: Error[] = [];
    const upkeep = new PartitionUpkeep(postgres({ connectionString: url, schema }).settings, (error) =>
      errors.push(error),
    );
    await upkeep.keepOnce();
    // Those ahead are made beside an open transaction; what it holds up stands in the status.
    const { missingMonths, monthsInDefault, lastError } = upkeep.status;
    expect([missingMonths, monthsInDefault]).toEqual([[new Date().toISOString().slice(0, 7)], ['2024-05']]);
    expect([errors, errors.map((error) => (error.cause as { code: string }).code)]).toEqual([[lastError], ['55P03']]);
    await holder.query('rollback');
    const made = await Promise.all(
      [client, await connected(), await connected()].map((each) => keepPartitions(each, schema, 0)),
    );
    expect(made.flat().sort()).toEqual([...new Set(made.flat())].sort());
    expect(made.flat()).toContain('domain_events_2024_05');
    await upkeep.keepOnce();
    expect(upkeep.status).toMatchObject({ missingMonths: [], monthsInDefault: [], lastError: undefined });
    await upkeep.stop();
  }, 90_000);

  test('whatever a flusher does between two statements of the upkeep, no event goes', async () => {
    const thisMonth = new Date().toISOString().slice(0, 7);
    const flusher = await connected();
    await flusher.query(`set lock_timeout = '50ms'`);
    const real = client.query.bind(client) as (...args: unknown[]) => Promise<pg.QueryResult>;
    const outcomes = new Set<number>();
    for (let step = 0, count = 1; step < count; step++) {
      for (const { month, name } of await listPartitions(client, schema)) {
        if (month !== undefined) await client.query(`drop table ${schema}.${name}`);
      }
      let stored = 0;
      await client.query(`delete from ${schema}.domain_events`);
      count = 0;
      client.query = (async (...args: unknown[]) => {
        if (count++ === step) {
          const inserted = await flusher.query(`select ${schema}.make_partition(now())`).then(
            () =>
              insert(flusher, thisMonth, 5).then(
                () => 5,
                () => 0, // the month is being attached
              ),
            () => 0,
          );
          stored += inserted;
        }
        return real(...args);
      }) as unknown as typeof client.query;
      await keepPartitions(client, schema, 0);
      client.query = real as unknown as typeof client.query;
      const { rows } = await client.query(`select count(*)::int as count from ${schema}.domain_events`);
      expect([step, rows[0].count]).toEqual([step, stored]);
      expect((await listPartitions(client, schema)).map(({ month }) => month)).toContain(thisMonth);
      outcomes.add(stored);
    }
    expect([...outcomes].sort()).toEqual([0, 5]); // 0: while all are held at domain_events
  }, 60_000);

  test('a table that is no partition any more is left alone, and the other months are made', async () => {
    await keepPartitions(client, schema, 1);
    const { name } = (await listPartitions(client, schema))[0]!;
    const month = name.slice(-7).replace('_', '-');
    await insert(client, month, 3);
    await client.query(`alter table ${schema}.domain_events detach partition ${schema}.${name}`);
    await insert(client, '2024-05', 1);
    expect(await errorOf(keepPartitions(client, schema, 0))).toMatchObject({ code: 'StoreSchemaMismatch' });
    expect(await errorOf(dropMonth(client, schema, month, undefined, true))).toMatchObject({
      code: 'StoreSchemaMismatch',
    });
    expect((await client.query(`select from ${schema}.${name}`)).rowCount).toBe(3);
    expect((await listPartitions(client, schema)).map(({ month: each }) => each)).toContain('2024-05');
  });

  test('times beyond any month stay where they are', async () => {
    await client.query(
      `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
       values (gen_random_uuid(), 'stock', 'a', 1, 'Sold', 1, '0044-03-15 BC', '{}'), (gen_random_uuid(), 'stock', 'a', 2, 'Sold', 1, '99999-01-01', '{}')`,
    );
    await keepPartitions(client, schema, 0);
    expect((await listPartitions(client, schema)).at(-1)).toMatchObject({ month: undefined, rows: 2 });
  });
});

describe('archives', () => {
  test('what is read from one is what was in the month, in order', async () => {
    await insert(client, '2024-05', 300);
    await keepPartitions(client, schema, 0);
    const { rows } = await client.query(
      `select id::text, version, data, metadata, occurred_at from ${schema}.domain_events order by sequence`,
    );
    const { file, events } = await archiveMonth(client, schema, '2024-05', scratchFolder());
    expect(events).toBe(300);
    const read: unknown[] = [];
    for await (const { id, version, data, metadata, occurredAt } of readArchive(file)) {
      read.push({ id, version, data, metadata, occurred_at: occurredAt });
    }
    expect(read).toEqual(rows);
  });

  test('is read back whatever its texts hold', async () => {
    const texts = ['\u2028', '\u2029', 'a\u0085b', 'a\rb', 'a\nb', '\u000b\u000c\u001c\ufeff', 'a\\u2028b'];
    await client.query(
      `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, metadata)
       select gen_random_uuid(), 'stock', text, i, text, 1, '2024-05-01T00:00:00Z', to_jsonb(text), jsonb_build_object(text, text)
       from unnest($1::text[]) with ordinality as t (text, i)`,
      [texts],
    );
    await keepPartitions(client, schema, 0);
    const folder = scratchFolder();
    const { file } = await archiveMonth(client, schema, '2024-05', folder);
    const read: unknown[] = [];
    for await (const event of readArchive(file)) read.push([event.data, event.type, event.metadata]);
    expect(read).toEqual(texts.map((text) => [text, text, { [text]: text }]));
    await dropMonth(client, schema, '2024-05', folder, false);
    // The only way of the library's to cut lines: a line feed, and nothing else, ends one.
    const source = join(import.meta.dirname, '../../../src');
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    expect(files.filter((name) => /from '(node:)?readline/.test(readFileSync(join(source, name), 'utf8')))).toEqual([]);
  });

  test('a file that is cut, changed, empty or not there is none, and drops nothing', async () => {
    await insert(client, '2024-05', 300);
    await keepPartitions(client, schema, 0);
    const folder = scratchFolder();
    const { file } = await archiveMonth(client, schema, '2024-05', folder);
    const whole = readFileSync(file);
    const spoilt = [
      whole.subarray(0, whole.length - 64),
      whole.subarray(0, whole.length >> 1),
      Buffer.from(whole).fill(whole[200]! ^ 1, 200, 201),
      Buffer.alloc(0),
      Buffer.from('no archive'),
    ];
    for (const bytes of spoilt) {
      writeFileSync(file, bytes);
      expect((await errorOf(verifyArchive(file))).code).toBe('ArchiveDamaged');
      expect((await errorOf(dropMonth(client, schema, '2024-05', folder, false))).code).toBe('ArchiveDamaged');
    }
    expect((await listPartitions(client, schema))[0]).toMatchObject({ month: '2024-05', rows: 300 });
    writeFileSync(file, whole);
    await dropMonth(client, schema, '2024-05', folder, false);
    expect((await listPartitions(client, schema)).map(({ month }) => month)).not.toContain('2024-05');
  });

  test('a month that a log, a handler or a projection still needs is not dropped', async () => {
    await insert(client, '2024-05', 10);
    await client.query(`update ${schema}.domain_events set log_id = 'one', position = version * 10`);
    await keepPartitions(client, schema, 0);
    const folder = scratchFolder();
    await archiveMonth(client, schema, '2024-05', folder);
    const drop = (): Promise<void> => dropMonth(client, schema, '2024-05', folder, false);
    await client.query(
      `insert into ${schema}.outbox (sequence, id, occurred_at) select sequence, id, occurred_at from ${schema}.domain_events limit 1;
       insert into ${schema}.event_handler_positions (log_id, handler_name, position, paused)
         values ('one', 'billing', 99, true), ('two', 'of another log', 0, false);
       insert into ${schema}.log_readers (log_id, name, position) values ('one', 'projection:totals#1', 50)`,
    );
    const asked: [RegExp, string][] = [
      [/come into a log/, `delete from ${schema}.outbox`],
      [/projection:totals#1 .* position 50, .* 100/, `delete from ${schema}.log_readers`],
      [/billing of log one/, `update ${schema}.event_handler_positions set position = 100 where log_id = 'one'`],
    ];
    for (const [reason, cure] of asked) {
      const error = await errorOf(drop());
      expect(error).toMatchObject({ code: 'PartitionNeeded' });
      expect(error.message).toMatch(reason);
      await client.query(cure);
    }
    await drop();
    expect((await listPartitions(client, schema)).map(({ month }) => month)).not.toContain('2024-05');
  });

  test('an archive of a dropped month is not replaced by one of what came late for it', async () => {
    const folder = scratchFolder();
    await insert(client, '2024-05', 10);
    await keepPartitions(client, schema, 0);
    await archiveMonth(client, schema, '2024-05', folder);
    await insert(client, '2024-05', 5, 'b');
    const { file, events } = await archiveMonth(client, schema, '2024-05', folder); // it holds more, and takes the place
    expect(events).toBe(15);
    await dropMonth(client, schema, '2024-05', folder, false);
    await insert(client, '2024-05', 20, 'late');
    await keepPartitions(client, schema, 0);
    const whole = readFileSync(file);
    const refused = await errorOf(archiveMonth(client, schema, '2024-05', folder));
    expect(refused).toMatchObject({ code: 'ArchiveNeeded', details: { file, events: 15 } });
    expect(readFileSync(file)).toEqual(whole);
    expect(readdirSync(folder)).toEqual([file.slice(folder.length + 1)]);
    expect(await archiveMonth(client, schema, '2024-05', scratchFolder())).toMatchObject({ events: 20 });
  });

  test('an archive drops only a month that has, byte for byte, what it has', async () => {
    await insert(client, '2024-05', 10);
    await keepPartitions(client, schema, 0);
    const folder = scratchFolder();
    const changes = [
      `update ${schema}.domain_events set log_id = 'one', position = 7 where version = 3`,
      `update ${schema}.domain_events set data = '{"n": 1}' where version = 10`,
    ];
    for (const change of changes) {
      await archiveMonth(client, schema, '2024-05', folder);
      await client.query(change);
      expect(await errorOf(dropMonth(client, schema, '2024-05', folder, false))).toMatchObject({
        code: 'PartitionNeeded',
        message: expect.stringMatching(/archive it again/),
      });
    }
    await archiveMonth(client, schema, '2024-05', folder);
    await dropMonth(client, schema, '2024-05', folder, false);
    expect(readdirSync(folder)).toEqual(['domain_events_2024_05.jsonl.zst']);
  });

  test('events of a month that is dropped by force leave nothing in the outbox, those of other months stay', async () => {
    await insert(client, '2024-05', 3);
    await insert(client, '2024-06', 2, 'b');
    await keepPartitions(client, schema, 0);
    await client.query(
      `insert into ${schema}.outbox (sequence, id, occurred_at) select sequence, id, occurred_at from ${schema}.domain_events`,
    );
    await dropMonth(client, schema, '2024-05', undefined, true);
    const { rows } = await client.query(
      `select e.aggregate_id as id from ${schema}.outbox o left join ${schema}.domain_events e using (sequence)`,
    );
    expect(rows).toEqual([{ id: 'b' }, { id: 'b' }]);
  });

  test('events of every year that the store can hold are read back from an archive', async () => {
    const times = ['2024-05-01T00:00:00.000Z', '+012345-01-02T03:04:05.678Z', '-000043-03-15T00:00:00.000Z'];
    const file = join(scratchFolder(), '..', 'archive');
    const { rows } = await client.query(
      `select (json_build_object('id', i, 'version', 1, 'schema_version', 1, 'event_type', 'x', 'aggregate_type', 'y',
         'aggregate_id', 'z', 'sequence', i, 'occurred_at', at::timestamptz, 'data', '{}'::json))::text as line
       from unnest($1::text[]) with ordinality as t (at, i)`,
      [times.map((text) => timeText(Date.parse(text)))],
    );
    await writeArchive(file, Readable.from(rows.map(({ line }) => Buffer.from(`${line}\n`))));
    const found: string[] = [];
    for await (const { occurredAt } of readArchive(file)) found.push(occurredAt.toISOString());
    expect(found).toEqual(times);
  });

  test('drafts that a crash has left are removed, one that another process writes stays', async () => {
    await insert(client, '2024-05', 3);
    await keepPartitions(client, schema, 0);
    const folder = scratchFolder();
    const { file } = await archiveMonth(client, schema, '2024-05', folder);
    const [left, growing] = [`${file}.${randomUUID()}.part`, `${file}.${randomUUID()}.part`];
    const notOurs = `${file}.mine.part`;
    for (const draft of [left, growing, notOurs]) writeFileSync(draft, 'x');
    for (const old of [left, notOurs]) utimesSync(old, 1_000_000, 1_000_000);
    await archiveMonth(client, schema, '2024-05', folder);
    expect(readdirSync(folder).sort()).toEqual([file, growing, notOurs].map((name) => basename(name)).sort());
  });

  test('a month that takes longer to read than a statement may is read in smaller and smaller pages', async () => {
    await insert(client, '2024-05', 400);
    await keepPartitions(client, schema, 0);
    const { sha256 } = await archiveMonth(client, schema, '2024-05', scratchFolder());
    await client.query(
      `create schema slow_${schema}; create table slow_${schema}.locks (lock_name text primary key);
       create function slow_${schema}.down() returns bool language plpgsql as 'begin perform pg_sleep(0.004); return true; end';
       create view slow_${schema}.domain_events_2024_05 as
         select * from ${schema}.domain_events_2024_05 where slow_${schema}.down()`,
    );
    await client.query(`set enable_seqscan = off; set enable_sort = off; set statement_timeout = 800`);
    expect(await archiveMonth(client, `slow_${schema}`, '2024-05', scratchFolder())).toMatchObject({
      events: 400,
      sha256,
    });
  });

  test('an archive that is broken off leaves no file', async () => {
    await insert(client, '2024-05', 2000);
    await keepPartitions(client, schema, 0);
    const folder = scratchFolder();
    const stop = AbortSignal.abort(new Error('enough'));
    await expect(archiveMonth(client, schema, '2024-05', folder, stop)).rejects.toThrow();
    expect(readdirSync(folder)).toEqual([]);
  });
});
