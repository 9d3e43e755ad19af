// A connection to another machine without TLS is told at the start; one to this machine, or with TLS, is not.
import pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openHosts, openHostsOf, resolveKafka } from '../../src/adapters/kafka/settings.ts';
import { connectionOf } from '../../src/adapters/postgres/commands/connection.ts';
import { openHost } from '../../src/adapters/postgres/session/connection.ts';
import { isLoopback, isOpenTls } from '../../src/base/checks.ts';
import { revealed } from '../../src/base/hidden.ts';
import { runProgram } from '../../src/cli/program.ts';
import { kafka, migrate, postgres } from '../../src/index.ts';
import { tailEvents } from '../../src/postgres.ts';
import { errorOf, startRuntime } from './scratch.ts';

test.each([
  ['postgres://u:p@localhost/db', undefined, undefined],
  ['postgres://u:p@127.0.0.1:5432/db', undefined, undefined],
  ['postgres://u:p@[::1]/db', undefined, undefined],
  ['postgres://u:p@/db?host=/var/run/postgresql', undefined, undefined],
  ['postgres://u:p@db.example/db', undefined, 'db.example'],
  ['postgres://u:p@/db?host=db.example', undefined, 'db.example'],
  ['postgres://u:p@db.example/db?sslmode=disable', undefined, 'db.example'],
  ['postgres://u:p@db.example/db?sslmode=no-verify', undefined, 'db.example'],
  ['postgres://u:p@db.example/db?sslmode=verify-full', undefined, undefined],
  ['postgres://u:p@db.example/db', true, undefined],
  ['postgres://u:p@db.example/db', { ca: 'x' }, undefined],
  ['postgres://u:p@db.example/db', { rejectUnauthorized: false }, 'db.example'],
  ['postgres://u:p@db.example/db?ssl=true', undefined, undefined],
  ['postgres://u:p@db.example/db?ssl=no-verify', undefined, 'db.example'],
  ['postgres://u:p@db.example/db?sslmode=require', undefined, undefined],
  ['postgres://u:p@db.example/db?uselibpqcompat=true&sslmode=require', undefined, 'db.example'],
  ['postgres://u:p@db.example/db?uselibpqcompat=true&sslmode=verify-full', undefined, undefined],
  ['postgres://u:p@db.example/db?sslnegotiation=postgres', undefined, 'db.example'],
  ['postgres://u:p@db.example/db?sslnegotiation=postgres', { ca: 'x' }, undefined],
  ['postgres://u:p@db.example/db?sslnegotiation=direct', undefined, undefined],
])('%s with ssl %j: %s', (connectionString, ssl, expected) => {
  const { connection } = postgres({ connectionString, ssl }).settings;
  expect(openHost(connection)).toBe(expected);
  // As the client library reads the same.
  const { host, ssl: tls } = new pg.Client(revealed(connection) as pg.ClientConfig);
  expect(isOpenTls(tls) && !isLoopback(host) ? host : undefined).toBe(expected);
});

test.each(['require', 'verify-ca'])(
  "by libpq's rules %s does not ask whether the certificate is that host's",
  (mode) => {
    const words = `uselibpqcompat=true&sslmode=${mode}&sslrootcert=/ca`;
    const { connection } = postgres({ connectionString: `postgres://u:p@db.example/db?${words}` }).settings;
    expect(openHost(connection)).toBe('db.example');
  },
);

test.each(['sslmode=disable', 'ssl=0', 'sslrootcert=/ca'])('TLS is said in one place: %s beside ssl', (words) => {
  const connectionString = `postgres://u:p@db.example/db?${words}`;
  expect(() => postgres({ connectionString, ssl: { ca: 'x' } })).toThrow(/keep one of the two/);
});

test.each([
  ['ssl_mode=verify-full', 'sslmode'],
  ['sslMode=verify-full', 'sslmode'],
  ['SSLMODE=verify-full', 'sslmode'],
  ['sslrootcret=/ca', 'sslrootcert'],
  ['pgbouncer=true', undefined],
  ['sslmode=verify_full', 'verify-full'],
  ['sslmode=VERIFY-FULL', 'verify-full'],
  ['sslmode=', 'verify-full'],
  ['sslrootcert=', 'without a value'],
  ['sslcert=', 'without a value'],
  ['sslkey=', 'without a value'],
  ['ssl=ture', 'true'],
  ['uselibpqcompat=yes&sslmode=require', 'true, false'],
  ['sslmode=verify-full&sslmode=disable', 'twice'],
  ['constructor=x', undefined],
])('what the client library would pass over, %s, is refused wherever a connection is given', async (words, meant) => {
  const connectionString = `postgres://u:sesame-open@127.0.0.1:1/db?${words}`;
  const doors: (() => unknown)[] = [
    () => postgres({ connectionString }),
    () => postgres({ pool: new pg.Pool({ connectionString }) }),
    () => tailEvents({ connection: connectionString }),
    () => tailEvents({ connection: { connectionString } }),
    () => migrate({ connection: connectionString }),
    () => connectionOf({ postgres: connectionString }),
  ];
  for (const door of doors) {
    const { code, message } = await errorOf(Promise.resolve().then(door));
    expect([door.toString(), code]).toEqual([door.toString(), 'InvalidOptions']);
    expect(message).toMatch(meant ?? 'does not act on');
    expect(message).not.toMatch(/sesame|ssl_mode|cret|pgbouncer|constructor/);
  }
});

test('a part of a connection that the client library does not know is refused', async () => {
  const parts = { host: '127.0.0.1', port: 1, user: 'u', password: 'p' };
  const error = await errorOf(migrate({ connection: { ...parts, sslmod: 'verify-full' } as never }));
  expect(error).toMatchObject({ code: 'InvalidOptions', message: expect.stringContaining('does not act on') });
  const known = { ...parts, keepAlive: true, options: '-c geqo=off', connectionTimeoutMillis: 50 };
  expect(await errorOf(migrate({ connection: known }))).toMatchObject({ code: 'StoreUnavailable' });
});

test('the command line warns as a start does', async () => {
  let err = '';
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean((err += text)));
  onTestFinished(() => stderr.mockRestore());
  const of = async (url: string): Promise<string[]> => {
    err = '';
    // Ends at the word that it does not know, before anything is connected.
    await runProgram(['node', 'trunkline', 'migrate', '--postgres', url, '--nothing-like-that']);
    return err.split('\n').filter((line) => line.startsWith('warning'));
  };
  const warning = 'warning: the connection to db.example has no TLS, or does not verify the server';
  expect(await of('postgres://u:p@db.example/db')).toEqual([warning]);
  expect(await of('postgres://u:p@db.example/db?sslmode=no-verify')).toEqual([warning]);
  expect(await of('postgres://u:p@db.example/db?sslmode=verify-full')).toEqual([]);
  expect(await of('postgres://u:p@localhost/db')).toEqual([]);
  expect(openHostsOf(kafka({ brokers: ['a.example:1'] }).options)).toEqual([{ host: 'a.example', sendsSecret: false }]);
});

test('Kafka and its registry', () => {
  const of = (options: object): object[] =>
    openHosts(resolveKafka({ brokers: ['a.example:1', 'localhost:2'], ...options }));
  const open = (host: string, sendsSecret = false): object => ({ host, sendsSecret });
  const sasl = { username: 'u', password: 'p' };
  expect(of({})).toEqual([open('a.example')]);
  expect(of({ sasl: { mechanism: 'scram-sha-512', ...sasl } })).toEqual([open('a.example')]);
  expect(of({ sasl: { mechanism: 'plain', ...sasl } })).toEqual([open('a.example', true)]);
  expect(of({ ssl: true })).toEqual([]);
  expect(of({ ssl: { rejectUnauthorized: false } })).toEqual([open('a.example')]);
  expect(of({ ssl: true, registry: { url: 'http://r.example' } })).toEqual([open('r.example')]);
  expect(of({ ssl: true, registry: { url: 'http://r.example', ...sasl } })).toEqual([open('r.example', true)]);
  expect(of({ registry: { url: 'http://a.example', ...sasl } })).toEqual([open('a.example', true)]);
  expect(of({ ssl: true, registry: { url: 'http://127.0.0.1:8081' } })).toEqual([]);
  expect(of({ ssl: true, registry: { url: 'https://r.example' } })).toEqual([]);
  expect(of({ ssl: true, registry: { url: 'https://r.example', ssl: { rejectUnauthorized: false } } })).toEqual([
    open('r.example'),
  ]);
});

test('the logger is told at the start', async () => {
  const warned: object[] = [];
  const none = (): void => {};
  const warn = (details: object, message: string): void =>
    void (message.includes('has no TLS') && warned.push(details));
  const stream = kafka({ brokers: ['broker.invalid:9092'], connectTimeoutMs: 100 });
  const logger = { debug: none, info: none, error: none, warn };
  const runtime = await startRuntime({ stream, logger, shards: 1 });
  expect(warned).toEqual([{ host: 'broker.invalid', sendsSecret: false }]);
  await runtime.close({ deadlineMs: 500 }).catch(none);
});
