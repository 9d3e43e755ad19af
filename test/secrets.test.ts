// No secret is shown: not by options, errors, logs, status, consoles or the command line, wherever somebody has put it. One
// text, the sentinel, stands in every place that takes a secret and in every one that does not; it must come out of none.
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { format, inspect } from 'node:util';
import pg from 'pg';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Hidden } from '../src/base/hidden.ts';
import { runProgram } from '../src/cli/program.ts';
import {
  createRuntime,
  defineProjection,
  kafka,
  migrate,
  openEventStore,
  postgres,
  type RuntimeOptions,
} from '../src/index.ts';
import { tailEvents } from '../src/postgres.ts';
import { type OptionsDoor, plainDoors, runtimeDoors, runtimeOptions } from './fault/misuse-options.ts';
import { administer, freshDatabase, migratedDatabase } from './postgres.ts';
import { Counter } from './runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from './runtime/scratch.ts';

const sentinel = 'hush-7f3a-quiet';
const url = `postgres://user:${sentinel}@127.0.0.1:1/none`;
const brokers = ['127.0.0.1:1'];
const nowhere = 'http://127.0.0.1:1/';
const forms = [
  sentinel,
  encodeURIComponent(sentinel),
  ...[sentinel, `user:${sentinel}`].map((text) => Buffer.from(text).toString('base64')),
];

/** All that a console, a logger or an error tracker may make of it. */
function printsOf(value: unknown): string {
  const prints = [inspect(value, { depth: 20, showHidden: true }), inspect(value, { depth: 20 }), String(value)];
  try {
    prints.push(String(JSON.stringify(value)), inspect({ ...(value as object) }, { depth: 9 }));
  } catch {} // a cycle
  if (value instanceof Error) {
    prints.push(value.message, String(value.stack), printsOf((value as { details?: unknown }).details));
    if (value.cause !== undefined) prints.push(printsOf(value.cause));
  }
  return prints.join('\n');
}

function expectSilence(what: string, value: unknown): void {
  const text = printsOf(value);
  for (const form of forms) expect.soft(text.includes(form) ? `${what}: ${text.slice(0, 300)}` : '', what).toBe('');
}

/** What somebody may put where a secret does not belong. */
const misplaced: Readonly<Record<string, unknown>> = {
  'a password': sentinel,
  'an address': `kafka://user:${sentinel}@h:1`,
  'a connection string': url,
  'a long one': url.padEnd(300, 'x'),
  credentials: { username: 'u', password: sentinel },
  options: { connectionString: url, sasl: { password: sentinel }, ssl: { key: sentinel } },
  'a list': [sentinel, { password: sentinel }],
  'a function': new Function(`return '${sentinel}'`),
};

/** Which names there are is told, and which one was asked for. */
const namesKnown = ['UnknownSubscription', 'UnknownAggregateType', 'UnknownEventType'];

async function goThrough(door: OptionsDoor, kinds = Object.keys(misplaced)): Promise<number> {
  let errors = 0;
  const fields = [...Object.keys(door.good), ...Object.keys(door.more)].filter((field) => field !== 'folder');
  const attempt = async (what: string, options: unknown): Promise<void> => {
    try {
      await door.call(options);
    } catch (error) {
      errors++;
      if (!namesKnown.includes((error as { code?: string }).code ?? '')) expectSilence(what, error);
    }
  };
  for (const kind of kinds) {
    const value = misplaced[kind];
    await attempt(`${door.name}: ${kind}`, value);
    for (const field of fields) {
      await attempt(`${door.name}.${field}: ${kind}`, { ...door.good, [field]: value });
    }
    await attempt(`${door.name}.unknown: ${kind}`, { ...door.good, pasword: value });
  }
  return errors;
}

describe('an error names the option, and never shows what was given', () => {
  test.each([...plainDoors, runtimeOptions].map((door) => [door.name, door] as const))('%s', async (_, door) => {
    expect(await goThrough(door)).toBeGreaterThan(5);
  });

  test('of a runtime that runs', async () => {
    const runtime = await startRuntime({ shards: 1 });
    const kinds = ['a connection string', 'credentials', 'a function'];
    for (const door of runtimeDoors(runtime)) expect(await goThrough(door, kinds), door.name).toBeGreaterThan(0);
  });
});

const sasl = { mechanism: 'plain', username: 'user', password: sentinel } as const;
const registry = { url: nowhere, username: 'user', password: sentinel };
const wrongStrings = [
  `postgres://u:a/${sentinel}@127.0.0.1:1/x`,
  `postgres://u:1/${sentinel}@127.0.0.1:1/x`,
  `postgres://u:a?${sentinel}=1@127.0.0.1:1/x`,
  `postgres://u:1?${sentinel}@127.0.0.1:1/x`,
  `postgres://u:a#${sentinel}@127.0.0.1:1/x`,
  `postgres://u:1#${sentinel}@127.0.0.1:1/x`,
  `postgres://u:%${sentinel}@127.0.0.1:1/x`,
  `postgres://u:${sentinel}@127.0.0.1:99999/x`,
  `mysql://u:${sentinel}@127.0.0.1/x`,
];

test('what postgres() and kafka() return shows nothing, and neither does what holds them', () => {
  const store = postgres({ connectionString: url });
  const stream = kafka({ brokers, sasl, registry, ssl: { key: sentinel, passphrase: sentinel } });
  expectSilence('store', store);
  expectSilence('stream', stream);
  expectSilence('both', { options: { store, stream: { ...stream } } });
  expect(inspect(store)).toBe('postgres, schema trunkline');
});

/** Every text that can be come to from a value by the fields of objects, hidden ones and symbols among them. */
function textsIn(value: unknown, seen: Set<unknown> = new Set()): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  return Reflect.ownKeys(value).flatMap((key) => textsIn((value as Record<PropertyKey, unknown>)[key], seen));
}

test('whoever walks through options, copies or prints them in any way finds no secret', () => {
  const hidden = new Hidden({ password: sentinel });
  const store = postgres({ connectionString: url });
  const stream = kafka({ brokers, sasl, registry, ssl: { key: sentinel, passphrase: sentinel } });
  for (const holder of [hidden, store, stream, stream.options as object]) {
    const options = { customInspect: false, showHidden: true, depth: 20 };
    const prints = [String(holder), `${holder}`, format('%s %o %O %j', holder, holder, holder, holder)];
    prints.push(inspect(holder, options), inspect({ ...holder }, options), JSON.stringify({ ...holder }));
    prints.push(...textsIn(holder));
    for (const one of prints) expectSilence('what is found', one);
  }
  expect(JSON.stringify([structuredClone(hidden), hidden])).not.toContain(sentinel);
  expect(hidden.reveal()).toEqual({ password: sentinel });
});

test.each(wrongStrings)('a connection string with a mistake in it is refused, and not shown: %s', async (text) => {
  const ways = [() => postgres({ connectionString: text }), () => migrate({ connection: text })];
  for (const way of [...ways, () => tailEvents({ connection: text }).next()]) {
    const error: unknown = await Promise.resolve()
      .then<unknown>(way)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'InvalidOptions' });
    expectSilence(text, error);
  }
});

describe('servers that are away or refuse', () => {
  /** A start that fails, or goes on trying: all that it says on the way. */
  async function saidBy(options: Partial<RuntimeOptions>): Promise<void> {
    const said: unknown[] = [];
    const log = (details: object, message: string): void => void said.push(details, message);
    const logger = { debug: log, info: log, warn: log, error: log };
    try {
      const runtime = await createRuntime({
        dataDir: scratchFolder(),
        aggregates: [Counter],
        shards: 1,
        logger,
        ...options,
      });
      await runtime.ref(Counter, runtime.newId()).add(1);
      await until(
        () => said.length,
        (length) => length > 0,
      );
      said.push(runtime, runtime.status());
      await runtime.close({ deadlineMs: 300 }).catch((error: unknown) => said.push(error));
    } catch (error) {
      said.push(error);
    }
    expect(said.length).toBeGreaterThan(0);
    for (const one of said) expectSilence('said', one);
  }
  const itself = (error: unknown): unknown => error;
  const connectTimeoutMs = 200;

  test('TLS with a key that is none', async () => {
    const ssl = { key: sentinel, cert: sentinel, passphrase: sentinel };
    await saidBy({ stream: kafka({ brokers, ssl, connectTimeoutMs }) });
    const error = await migrate({
      connection: { host: '127.0.0.1', port: 1, user: 'u', password: sentinel, ssl },
    }).catch(itself);
    expectSilence('migrate', error);
  });

  test('PostgreSQL: away, and with another password', async () => {
    const good = await freshDatabase();
    const wrong = new URL(good);
    wrong.password = sentinel;
    for (const connectionString of [url, wrong.href]) {
      await saidBy({ store: postgres({ connectionString }) });
      expectSilence('migrate', await migrate({ connection: connectionString }).catch(itself));
      expectSilence('open', await openEventStore(postgres({ connectionString })).catch(itself));
      const ended = new AbortController();
      const onError = (error: unknown): void => {
        expectSilence('tail', error);
        ended.abort();
      };
      const tail = tailEvents({ connection: connectionString, signal: ended.signal, onError });
      expectSilence('tail', await tail.next().catch(itself));
    }
  });
});

test('a runtime on a database with a password, and all its handles', async () => {
  const owner = await migratedDatabase();
  const role = `quiet_${process.pid}`;
  await administer(owner, `create role ${role} login superuser password '${sentinel}'`);
  const address = new URL(owner);
  [address.username, address.password] = [role, sentinel];
  const connectionString = address.href;
  const said: unknown[] = [];
  const log = (details: object, message: string): void => void said.push(details, message);
  const runtime = await startRuntime({
    store: postgres({ connectionString }),
    shards: 1,
    logger: { debug: log, info: log, warn: log, error: log },
  });
  const subscription = runtime.subscribe({
    name: 'audit',
    async handle(_, { tx }) {
      const client = await tx.client();
      said.push(client, await client.query('select nothing').catch((error: unknown) => error));
      throw new Error('as it happens');
    },
    retry: { attempts: 1 },
  });
  const rows = runtime.project(defineProjection({ name: 'rows', init: () => 0, apply: (row) => row + 1 }));
  const receipt = await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1);
  await rows.caughtUpTo(receipt);
  const letters = await until(
    () => runtime.deadLetters.list({ handler: 'audit' }),
    ({ length }) => length > 0,
  );
  const reader = await openEventStore(postgres({ connectionString }));
  const pool = new pg.Pool({ connectionString });
  const tail = tailEvents({ connection: connectionString });
  const first = await tail.next();
  said.push(
    runtime,
    runtime.status(),
    runtime.store,
    runtime.publisher,
    runtime.bus,
    runtime.deadLetters,
    subscription,
  );
  said.push(rows, receipt, letters, reader, tail, first, runtime.unitOfWork(), runtime.ref(Counter, 'a'));
  said.push(postgres({ pool }), await runtime.store.getByAggregate(Counter, 'a'));
  for (const one of said) expectSilence('a handle', one);
  await Promise.all([tail.return?.(), reader.close(), pool.end()]);
  await runtime.close();
  await administer(owner, `drop owned by ${role}; drop role ${role}`);
});

test('a registry that answers with what it was sent', async () => {
  const { Registry } = await import('../src/adapters/kafka/registry.ts');
  const { resolveKafka } = await import('../src/adapters/kafka/settings.ts');
  const server = createServer((request, answer) => answer.writeHead(500).end(String(request.headers.authorization)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = resolveKafka({ brokers, registry: { ...registry, url: address } });
  const error = await new Registry(settings.registry!).register('s', {}).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'RegistryUnavailable' });
  expectSilence('its error', error);
  server.close();
});

describe('the command line', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  /** All that it prints. */
  async function printed(...words: string[]): Promise<string> {
    let text = '';
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((part) => {
        text += part;
        return true;
      });
    }
    await runProgram(['node', 'trunkline', ...words]);
    vi.restoreAllMocks();
    return text;
  }

  const lines: string[][] = [
    ...[url, sentinel, `postgres://u:${sentinel}@h:port/x`, `mysql://u:${sentinel}@h/`, ...wrongStrings].flatMap(
      (text) => [
        ['migrate', '--postgres', text],
        ['migrate', `--postgre=${text}`],
        ['migrate', '--postgres', '', text],
        ['status', text],
        [text],
        ['outbox', text],
        ['partitions', 'drop', '--before', text],
        ['replay', '--since', text],
        ['dead-letters', 'list', '--limit', text],
        ['dead-letters', 'list', '--reason', text],
      ],
    ),
    ['migrate', `-p${sentinel}`],
  ];
  test.each(lines)('%s %s %s', async (...words) => {
    vi.stubEnv('TRUNKLINE_DEBUG', '1');
    const text = await printed(...words);
    expect(text).not.toBe('');
    expectSilence('what it prints', text);
  });

  test('the environment', async () => {
    for (const text of [url, sentinel, ...wrongStrings]) {
      vi.stubEnv('TRUNKLINE_POSTGRES', text);
      expectSilence('what it prints', await printed('partitions', 'list'));
      expectSilence('what it prints', await printed('migrate'));
    }
  });
});

test('what Node prints when nobody catches', () => {
  const index = new URL('../src/index.ts', import.meta.url).href;
  const ways = [
    `postgres({ connectionString: '${url}', batchEvents: '${url}' })`,
    `migrate({ connection: '${url}' })`,
    `kafka({ brokers: ['u:${sentinel}@h:1'] })`,
  ];
  const program = `import { postgres, migrate, kafka } from '${index}';
    for (const way of [${ways.map((way) => `() => ${way}`).join()}]) {
      await Promise.resolve().then(way).catch((error) => console.error(error));
    }
    console.log(postgres({ connectionString: '${url}' }), kafka({ brokers: ['h:1'], sasl: ${JSON.stringify(sasl)} }));
    await migrate({ connection: '${url}' });`;
  const words = ['--conditions=trunkline-source', '--input-type=module', '--eval', program];
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect([status, stdout.includes('postgres, schema'), stderr.includes('StoreUnavailable')]).toEqual([1, true, true]);
  expectSilence('stdout and stderr', stdout + stderr);
});
