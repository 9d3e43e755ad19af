// Security: ids, types, metadata and payloads as attackers would write them are carried as they are, or refused by name;
// nothing outside of the folders given is touched, no prototype is changed, and no secret reaches an error or a log line.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { archiveMonth } from '../../src/adapters/postgres/partitions/month-archive.ts';
import {
  createRuntime,
  kafka,
  migrate,
  openEventStore,
  postgres,
  type Runtime,
  type RuntimeOptions,
  TrunklineError,
} from '../../src/index.ts';
import { readArchive } from '../../src/postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { Elsewhere, readKafka, readPostgres, storeAndStream, withoutServers } from './elsewhere.ts';
import type { Family, FaultRun } from './family.ts';
import { npmAudit } from './npm-audit.ts';

const hostile: readonly string[] = [
  "'; DROP TABLE domain_events; --",
  '"; drop schema trunkline cascade; --',
  '../../../../etc/passwd',
  '..\\..\\windows',
  '/etc/shadow',
  '..',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'a\r\nSet-Cookie: b=c',
  'a\tb',
  '$' + '{jndi:ldap://x}',
  '%00%2e%2e%2f',
  '<script>alert(1)</script>',
  '\u202ereversed',
  'ﬁ ligature',
  'x'.repeat(255),
  '😀'.repeat(60),
  'null',
  '-0',
];
const hostileData = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toJSON":"no"}';
const secret = 'hunter2-0451';
const waitMs = 60_000;

type Check = (run: FaultRun, folder: string) => Promise<void>;

const checks: Readonly<Record<string, Check>> = {
  async 'ids come back as they were sent, and touch nothing but the data directory'(run, folder) {
    const dataDir = join(folder, 'data');
    await using runtime = await start({ dataDir });
    for (const id of hostile) {
      run.faults++;
      for (let time = 0; time < 2; time++) {
        const { value, version } = await runtime.ref(Counter, id).with({ idempotencyKey: id }).add(1);
        assert.deepEqual([value, version], [1, 1], id);
      }
      const events = await runtime.store.getByAggregate(Counter, id);
      assert.deepEqual(
        events.map(({ aggregateId, version }) => [aggregateId, version]),
        [[id, 1]],
      );
    }
    await runtime.close();
    assert.deepEqual(readdirSync(folder), ['data']);
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
    for (const name of ['log', 'store']) assert.equal(statSync(join(dataDir, name)).mode & 0o077, 0, name);
    assert.equal(existsSync(join(folder, 'etc')), false);
  },

  async 'types, metadata and payloads: the same'(run, folder) {
    await using runtime = await start({ dataDir: join(folder, 'data') });
    const data = JSON.parse(hostileData);
    let refused = 0;
    for (const [i, text] of hostile.entries()) {
      run.faults++;
      const type = [...text].slice(0, 25).join('');
      const metadata = JSON.parse(`{${JSON.stringify(text)}:${JSON.stringify(text)}}`);
      const event = { aggregateType: type, aggregateId: `e${i}`, type, data, metadata };
      const error = await errorFrom(runtime.publisher.publish(event));
      if (error) {
        assert.equal(error.code, 'InvalidId', text); // control characters
        refused++;
        continue;
      }
      const [stored] = await runtime.store.getByAggregate(type, `e${i}`);
      assert.equal(stored!.type, type);
      assert.equal(JSON.stringify(stored!.data), JSON.stringify(data));
      assert.deepEqual(Object.entries(stored!.metadata), [[text, text]]);
    }
    assert.ok(refused < hostile.length / 2);
    assertUnpolluted();
  },

  async 'huge and deep payloads are taken or refused by name, and the next command goes on'(run, folder) {
    await using runtime = await start({ dataDir: join(folder, 'data'), flush: { ringBytes: 1 << 20 } });
    const counter = runtime.ref(Counter, 'a');
    const codes = ['CommandTooLarge', 'UnserialisableValue'];
    let deep: unknown = 'bottom';
    for (let i = 0; i < 100_000; i++) deep = [deep];
    for (const sent of [counter.label('x'.repeat(1 << 21)), counter.raiseAnything('Added', deep)]) {
      run.faults++;
      assert.ok(codes.includes((await errorFrom(sent))?.code ?? 'nothing'));
    }
    const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key ${i}`, i]));
    await counter.raiseAnything('Added', { amount: 1, wide });
    assert.equal((await counter.add(1)).version, 2);
  },

  async 'names that objects are born with are unknown here'(run, folder) {
    await using runtime = await start({ dataDir: join(folder, 'data') });
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then']) {
      run.faults += 3;
      assert.equal((await errorFrom(runtime.command('counter', 'a', name, [])))?.code, 'UnknownCommand');
      assert.equal((await errorFrom(runtime.command(name, 'a', 'add', [1])))?.code, 'UnknownAggregateType');
      const raised = errorFrom(runtime.ref(Counter, 'a').raiseAnything(name, {}));
      assert.equal((await raised)?.code, 'UnknownEventType');
    }
  },

  async 'a secret in the options of a sink reaches no error and no log line'(run, folder) {
    const module = import.meta.resolve('./sink.ts').replace('sink.ts', 'no-such-sink.ts');
    run.faults++;
    await keepsSecret({ dataDir: join(folder, 'data'), sinks: [{ name: 'broken', module, options: { secret } }] });
  },

  async 'passwords of servers that are away reach no error and no log line'(run, folder) {
    const nowhere = '127.0.0.1:9';
    const connectTimeoutMs = 200;
    const sasl = { mechanism: 'plain', username: 'user', password: secret } as const;
    const brokers = [nowhere];
    const registry = { url: `http://${nowhere}/`, username: 'user', password: secret };
    const ways: Partial<RuntimeOptions>[] = [
      { store: postgres({ connectionString: `postgres://user:${secret}@${nowhere}/x?sslmode=disable` }) },
      ...(['kafkajs', 'platformatic'] as const).flatMap((client) => [
        { stream: kafka({ brokers, client, sasl, connectTimeoutMs }) },
        { stream: kafka({ brokers, client, registry, connectTimeoutMs }) },
      ]),
    ];
    for (const [i, way] of ways.entries()) {
      run.faults++;
      await keepsSecret({ dataDir: join(folder, String(i)), ...way });
    }
    const inUrl = { url: `http://user:${secret}@${nowhere}/` };
    const refused = [
      async () => kafka({ brokers, registry: inUrl }),
      ...[`postgres://u:${secret}@/%`, `mysql://u:${secret}@h/`, `postgres://u:${secret}@h:port/`].map(
        (connectionString) => async () => openEventStore(postgres({ connectionString })),
      ),
    ];
    for (const [i, refuse] of refused.entries()) {
      run.faults++;
      const error = await errorFrom(refuse());
      assert.ok(error, `way ${i} of writing a secret where none may be is refused`);
      assertSilent([error]);
    }
  },

  async 'PostgreSQL, Kafka and archives hold what was sent, and nothing else is touched'(run, folder) {
    const missing = withoutServers();
    if (missing) return void run.notes.push(`PostgreSQL and Kafka: skipped, ${missing}`);
    await using world = await Elsewhere.start();
    const settings = await world.fresh('kafkajs');
    const reports: string[] = [];
    const logger = listening(reports);
    const runtime = await start({ dataDir: join(folder, 'data'), ...storeAndStream(settings), logger });
    const expected = new Map<string, string>();
    for (const [i, text] of hostile.entries()) {
      run.faults++;
      const metadata = { correlationId: text, causationId: text, source: text, traceparent: text, tenantId: text };
      const counter = runtime.ref(Counter, text).with({ metadata });
      for (const { id } of (await counter.label(text)).events) expected.set(id, text);
      const type = [...text].slice(0, 25).join('');
      const data = JSON.parse(hostileData);
      await errorFrom(runtime.publisher.publish({ aggregateType: type, aggregateId: `e${i}`, type, data }));
    }
    const signal = AbortSignal.timeout(waitMs);
    await Promise.all([runtime.reached('stored', { signal }), runtime.reached('published', { signal })]);
    await runtime.close();
    const topicsOf = /^[\w.-]+$/;
    for (const [place, held] of [
      ['PostgreSQL', (await readPostgres(settings)).held],
      ['Kafka', await readKafka(settings)],
    ] as const) {
      const counters = held.filter(({ aggregateType }) => aggregateType === 'counter');
      assert.equal(counters.length, hostile.length, place);
      for (const { id, aggregateId, content } of counters) {
        assert.equal(aggregateId, expected.get(id), place);
        assert.equal(JSON.parse(content).label, expected.get(id), place);
      }
      if (place === 'Kafka') for (const { aggregateType } of held) assert.match(aggregateType, topicsOf);
    }
    await archives(settings.database, folder);
    const schema = '"; drop schema trunkline cascade; --';
    await migrate({ connection: settings.database, schema });
    await using store = await openEventStore(postgres({ connectionString: settings.database, schema }));
    assert.deepEqual(await store.getByType('Added'), []);
    assert.equal((await readPostgres(settings)).quarantined, 0);
    const denied = new URL(settings.database);
    denied.password = secret;
    await keepsSecret({ dataDir: join(folder, 'denied'), store: postgres({ connectionString: denied.href }) });
    assertUnpolluted();
  },

  async 'npm knows of no weakness in what is installed with us'(run) {
    if (run.size('offline') > 0) return void run.notes.push('npm audit: not asked, offline');
    run.faults++;
    assert.deepEqual(await npmAudit(), [], 'npm audit');
  },
};

export const security: Family = {
  about: 'hostile ids, types, metadata, payloads, paths and names; planted secrets; known weaknesses of dependencies',
  sizes: { offline: 0 }, // 1: there is no registry to ask, and that is meant
  async run(run) {
    for (const [name, check] of Object.entries(checks)) {
      const folder = join(run.folder(), 'own');
      mkdirSync(folder);
      try {
        await check(run, folder);
      } catch (error) {
        run.fail(`${name}: ${error instanceof Error ? error.message : error}`);
      }
    }
  },
};

/** Files of an archive lie in its folder, whatever its events are called; and hold them all. */
async function archives(database: string, folder: string): Promise<void> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  try {
    const to = join(folder, 'archive');
    const month = new Date().toISOString().slice(0, 7);
    const before = readdirSync(folder);
    const { events, file } = await archiveMonth(client, 'trunkline', month, to);
    assert.deepEqual(
      readdirSync(folder).filter((name) => !before.includes(name)),
      ['archive'],
    );
    assert.equal(readdirSync(to).length, 1);
    let read = 0;
    for await (const _ of readArchive(file)) read++;
    assert.equal(read, events);
    for (const hostileMonth of ['../../x', '2026-01/../../x', "2026-01'; drop table x; --"]) {
      await assert.rejects(archiveMonth(client, 'trunkline', hostileMonth, to));
    }
    assert.equal(readdirSync(to).length, 1);
  } finally {
    await client.end();
  }
}

const start = (options: Partial<RuntimeOptions> & { dataDir: string }): Promise<Runtime> =>
  createRuntime({ logger: false, aggregates: [Counter], shards: 1, ...options });

async function errorFrom(promise: Promise<unknown>): Promise<TrunklineError | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof TrunklineError, `an error without a type: ${error}`);
    return error;
  }
}

/** A start that goes wrong, or that goes on trying: neither its error nor what it logs shows the secret. */
async function keepsSecret(options: Partial<RuntimeOptions> & { dataDir: string }): Promise<void> {
  const lines: string[] = [];
  const logger = listening(lines);
  try {
    const runtime = await start({ ...options, logger });
    await runtime.ref(Counter, runtime.newId()).add(1);
    for (const until = Date.now() + waitMs; lines.length === 0 && Date.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    lines.push(show([runtime.status()]));
    await errorFrom(runtime.close({ deadlineMs: 5_000 }));
  } catch (error) {
    assert.ok(error instanceof TrunklineError, 'an error without a type');
    lines.push(show([error, error.details, error.message]));
  }
  assert.ok(lines.length > 0, 'nobody was told anything');
  assertSilent(lines);
}

function assertSilent(words: unknown[]): void {
  const base64 = Buffer.from(`user:${secret}`).toString('base64');
  const text = show(words);
  for (const shown of [secret, base64, encodeURIComponent(secret)]) {
    assert.ok(!text.includes(shown), `a secret is shown: ${text.replaceAll(shown, '…').slice(0, 500)}`);
  }
}

function assertUnpolluted(): void {
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
}

function listening(lines: string[]): NonNullable<RuntimeOptions['logger']> {
  const log = (...words: unknown[]): void => void lines.push(show(words));
  return { debug: log, info: log, warn: log, error: log };
}

/** As any logger might print it: messages, stacks, causes, and every field. */
function show(words: unknown[]): string {
  return words
    .map((word): string => {
      if (word instanceof Error) return `${word.stack} ${show([word.cause, { ...word }])}`;
      if (typeof word !== 'object' || word === null) return String(word);
      return Object.entries(word)
        .map(([key, value]) => `${key}: ${show([value])}`)
        .join(', ');
    })
    .join(' ');
}
