// How connections to PostgreSQL are made: with a password that changes while the runtime runs, and over TLS.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { forThread } from '../../../src/base/secrets.ts';
import { migrate, openEventStore, postgres } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { makeCertificates } from '../../certificates.ts';
import { administer, freshDatabase, migratedDatabase } from '../../postgres.ts';
import { PostgresServer } from '../../postgres-server.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, startRuntime, until } from '../../runtime/scratch.ts';

test('a password as a function is asked for each connection, in every thread', async () => {
  const owner = await migratedDatabase();
  const role = `rotating_${process.pid}`;
  await administer(owner, `create role ${role} login superuser password 'one'`);
  onTestFinished(async () => void (await administer(owner, `drop owned by ${role}; drop role ${role}`)));
  const address = new URL(owner);
  [address.username, address.password] = [role, ''];
  const connectionString = address.href;
  let current = 'one';
  const password = async (): Promise<string> => current;
  const store = postgres({ connectionString, password });
  const runtime = await startRuntime({ store, shards: 1 });
  const id = runtime.newId();
  await runtime.ref(Counter, id).with({ ack: 'stored' }).add(1);
  await administer(owner, `alter role ${role} password 'two'`);
  current = 'two';
  // Of the flush, of the shard, of this thread: each has to make its connection again.
  await administer(owner, `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);
  await runtime.ref(Counter, id).with({ ack: 'stored' }).add(1);
  await runtime.ref(Counter, 'known to nobody').with({ ack: 'stored' }).add(1);
  expect(await runtime.store.getByAggregate(Counter, id)).toHaveLength(2);
  await using archive = await openEventStore(store);
  expect(await archive.getByType('Added')).toHaveLength(3);
  expect((await tailEvents({ connection: { connectionString, password } }).next()).value!.event.aggregateId).toBe(id);
  const failing = (): string => {
    throw new TypeError('the vault is sealed');
  };
  const wrong: [() => string | Promise<string>, string, RegExp][] = [
    [failing, 'StoreUnavailable', /the vault is sealed/],
    [() => 5 as never, 'StoreUnavailable', /of type number/],
    [() => '', 'StoreUnavailable', /an empty text/],
    [() => 'one', 'StoreAccessDenied', /password/],
  ];
  for (const [function_, code, words] of wrong) {
    const error = await errorOf(openEventStore(postgres({ connectionString, password: function_ })));
    expect(error).toMatchObject({ code, message: expect.stringMatching(words) });
  }
  await nothingStarts(owner);
  await runtime.close();
});

/** No connection that has begun by now is still without a password: the server would wait for it for a minute. */
async function nothingStarts(url: string): Promise<void> {
  const [{ now }] = await administer(url, 'select pg_catalog.clock_timestamp()::text as now');
  const starting = `select pid from pg_stat_activity where state = 'starting' and backend_start < '${now}'`;
  await until(
    () => administer(url, starting),
    (pids) => pids.length === 0,
  );
}

test('a function that fails or never answers holds up its connection only, and no end', async () => {
  const address = new URL(await freshDatabase());
  const { password } = address;
  address.password = '';
  await migrate({ connection: { connectionString: address.href, password } });
  let answer: () => string | Promise<string> = () => password;
  const store = postgres({ connectionString: address.href, password: () => answer() });
  const runtime = await startRuntime({ store, shards: 1 });
  await runtime.ref(Counter, 'c').with({ ack: 'stored' }).add(1);
  const cut = (): Promise<unknown> =>
    administer(
      `${address.href.replace('@', `:${password}@`)}`,
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'trunkline%' and datname = current_database()`,
    );
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
  let fails = 0;
  answer = () => {
    if (++fails < 3) throw new Error('the vault is sealed');
    return password;
  };
  await cut();
  await runtime.ref(Counter, 'c').with({ ack: 'stored' }).add(1); // the third answer is right
  expect(fails).toBeGreaterThanOrEqual(3);
  answer = () => {
    isAsked();
    return new Promise(() => {});
  };
  await cut();
  await runtime.ref(Counter, 'c').with({ ack: 'synced' }).add(1);
  await asked;
  await runtime.close({ deadlineMs: 100 }).catch(() => {}); // what is not stored stays in the log
});

test('of a thread that is blocked the answer is late, and the error says so', async () => {
  const { port1, port2 } = new MessageChannel();
  const code = `import { workerData } from 'node:worker_threads';
    const { secretText } = await import(workerData.file);
    workerData.port.postMessage(await secretText(workerData.place, 200).catch((error) => error.message));
    workerData.port.close();`;
  const secret = (): string => 'in vain';
  const workerData = {
    file: new URL('../../../src/base/secrets.ts', import.meta.url).href,
    place: forThread(secret),
    port: port2,
  };
  new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData, transferList: [port2] });
  let message: ReturnType<typeof receiveMessageOnPort>;
  const still = new Int32Array(new SharedArrayBuffer(4));
  do {
    Atomics.wait(still, 0, 0, 5); // this thread serves nothing meanwhile
    message = receiveMessageOnPort(port1);
  } while (message === undefined);
  expect(message.message).toMatch(/has not answered within 150 ms/);
});

test('TLS: every connection has it, and goes to nobody whose authority is not known', async () => {
  const { ca, server: certificate } = makeCertificates();
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const [cert, key] = [join(folder, 'server.pem'), join(folder, 'server.key')];
  writeFileSync(cert, certificate.cert);
  writeFileSync(key, certificate.key, { mode: 0o600 });
  if (process.getuid?.() === 0) execFileSync('chown', ['postgres', key, cert]);
  await using server = await PostgresServer.start(['ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`]);
  const connectionString = server.url();
  const { hostname: host, port, username: user, password } = new URL(connectionString);
  const parts = { host, port: Number(port), user, password, database: 'postgres' };
  expect(await errorOf(migrate({ connection: { ...parts, ssl: true } }))).toMatchObject({ code: 'StoreUnsuitable' });
  await migrate({ connection: { ...parts, ssl: { ca } } });
  const runtime = await startRuntime({ store: postgres({ connectionString, ssl: { ca } }), shards: 1 });
  await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1);
  expect(await runtime.store.getByAggregate(Counter, 'a')).toHaveLength(1);
  const inUse = await administer(
    connectionString,
    `select distinct s.ssl from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name like 'trunkline%'`,
  );
  expect(inUse).toEqual([{ ssl: true }]);
  await runtime.close();
});
