// A broker that asks who we are, and what we may: wrong words, too few rights, and exactly those that docs/how-to/publish-to-kafka.md
// names.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kafka } from '../../src/index.ts';
import type { KafkaOptions } from '../../src/kafka.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { Reader } from './consume.ts';
import { type GuardedBroker, startGuardedBroker } from './guarded-broker.ts';
import { clients, keepingLogger, setUp } from './setup.ts';

type Sasl = NonNullable<KafkaOptions['sasl']>;

let broker: GuardedBroker;
let administrator: kafkajs.Admin;

beforeAll(async () => {
  broker = await startGuardedBroker();
  administrator = new kafkajs.Kafka({ brokers: [broker.open], logLevel: kafkajs.logLevel.NOTHING }).admin();
  await administrator.connect();
});
afterAll(async () => {
  await administrator.disconnect();
  await broker[Symbol.asyncDispose]();
});

describe.each(clients)('%s', (client) => {
  test('wrong words are denied, and not told; with the right ones all goes on where it was', async () => {
    const { prefix, streamWith } = await setUp({ client }, broker.sasl);
    const dataDir = scratchFolder();
    const { errors, logger } = keepingLogger();
    const wrong: Sasl = { mechanism: 'plain', username: 'super', password: 'open-barley' };
    const denied = await startRuntime({ dataDir, stream: streamWith({ sasl: wrong }), logger });
    await denied.ref(Counter, 'c').with({ ack: 'stored' }).addMany(3);
    await until(
      () => errors.length,
      (count) => count > 0,
    );
    await denied.close();
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['StreamDenied']));
    expect(JSON.stringify(errors) + errors.map(({ message }) => message).join()).not.toContain('barley');
    const right: Sasl[] = [
      { mechanism: 'plain', username: 'super', password: 'sesame' },
      { mechanism: 'scram-sha-256', username: 'scrambled', password: 'sesame' },
    ];
    for (const sasl of right) {
      const runtime = await startRuntime({ dataDir, stream: streamWith({ sasl }) });
      await runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
      await runtime.close();
    }
    const offsets = await administrator.fetchTopicOffsets(`${prefix}.counter`);
    expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBeGreaterThanOrEqual(5);
  });

  test('without rights it is denied; those that the documents name are enough', async () => {
    const sasl: Sasl = { mechanism: 'plain', username: 'limited', password: 'sesame' };
    const { prefix, stream } = await setUp({ client, sasl }, broker.sasl);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const published = runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
    await until(
      () => errors.map(({ code }) => code),
      (codes) => codes.includes('StreamDenied'),
    );
    const { AclResourceTypes, AclOperationTypes, AclPermissionTypes, ResourcePatternTypes } = kafkajs;
    const may = (resourceType: number, resourceName: string, operations: readonly number[]) =>
      operations.map((operation) => ({
        resourceType,
        resourceName,
        resourcePatternType: ResourcePatternTypes.PREFIXED,
        principal: 'User:limited',
        host: '*',
        operation,
        permissionType: AclPermissionTypes.ALLOW,
      }));
    const { DESCRIBE, DESCRIBE_CONFIGS, CREATE, WRITE, READ } = AclOperationTypes;
    await administrator.createAcls({
      acl: [
        ...may(AclResourceTypes.TOPIC, prefix, [DESCRIBE, DESCRIBE_CONFIGS, CREATE, WRITE]),
        ...may(AclResourceTypes.TOPIC, `${prefix}.own`, [READ]),
        ...may(AclResourceTypes.TRANSACTIONAL_ID, `${prefix}.own-`, [DESCRIBE, WRITE]),
      ],
    });
    await published;
  });

  test('a password that rotates while events are published: nothing is lost or doubled', {
    timeout: 120_000,
  }, async () => {
    let current = 'first-barley';
    let asked = 0;
    let fails = 0;
    const password = async (): Promise<string> => {
      asked++;
      if (fails > 0 && fails-- > 0) throw new Error('the vault is sealed');
      return current;
    };
    await broker.setPassword('rotating', current);
    const { ca } = broker.certificates;
    const sasl: Sasl = { mechanism: 'scram-sha-256', username: 'rotating', password };
    const { prefix, stream } = await setUp({ client, sasl, ssl: { ca } }, broker.saslTls);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger, shards: 1 });
    const ids: string[] = [];
    const publish = async (): Promise<void> => {
      const { events } = await runtime.ref(Counter, 'c').with({ ack: 'published', deadlineMs: 60_000 }).addMany(2);
      ids.push(...events.map(({ id }) => id));
    };
    await publish();
    for (const next of ['second-barley', 'third-barley']) {
      if (next === 'third-barley') fails = 1;
      await broker.setPassword('rotating', next);
      current = next;
      const enough = asked + 1; // the broker asks again after a few seconds
      while (asked < enough) await publish();
      await publish();
    }
    expect(fails).toBe(0);
    await runtime.close();
    const reader = await Reader.start(broker.open, [`${prefix}.counter`]);
    await until(
      () => reader.records.length,
      (count) => count >= ids.length,
    );
    expect(reader.records.map(({ headers }) => headers['event-id'])).toEqual(ids);
    await reader[Symbol.asyncDispose]();
    expect(errors.map(({ message }) => message).join()).not.toMatch(/-barley/);
  });

  test('OAUTHBEARER: a token that is refused is denied and not told; the next one is taken', async () => {
    const token = (lifeSeconds: number): string => {
      const now = Math.floor(Date.now() / 1000);
      const claims = { sub: 'bearer', iat: now - 7200, exp: now + lifeSeconds };
      return [{ alg: 'none' }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
        .concat('.');
    };
    const expired = token(-3600);
    let current = (): string => expired;
    const sasl: Sasl = { mechanism: 'oauthbearer', token: () => current(), extensions: { pool: 'p 1' } };
    const { stream } = await setUp({ client, sasl, ssl: { ca: broker.certificates.ca } }, broker.saslTls);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger, shards: 1 });
    const published = runtime.ref(Counter, 'c').with({ ack: 'published', deadlineMs: 60_000 }).add(1);
    await until(
      () => errors.length,
      (count) => count > 0,
    );
    expect(errors[0]).toMatchObject({ code: 'StreamDenied' });
    current = () => `${token(3600)}\n`;
    await until(
      () => errors.map(({ message }) => message).join(),
      (messages) => messages.includes('with spaces or other characters'),
    );
    current = () => token(3600);
    await published;
    await runtime.close();
    expect(JSON.stringify(errors) + errors.map(({ message }) => message).join()).not.toContain(expired.split('.')[1]);
  });

  test('a client certificate; without one, or with another authority, nothing is published', async () => {
    const { ca, client: own } = broker.certificates;
    const { stream, streamWith } = await setUp({ client, ssl: { ca, ...own } }, broker.mutual);
    const dataDir = scratchFolder();
    for (const ssl of [{ ca }, { ...own }]) {
      const { errors, logger } = keepingLogger();
      const runtime = await startRuntime({ dataDir, stream: streamWith({ ssl }), logger, shards: 1 });
      await runtime.ref(Counter, 'c').with({ ack: 'synced' }).add(1);
      await until(
        () => errors.length,
        (count) => count > 0,
      );
      expect(errors[0]!.code).toMatch(/^(StreamUnavailable|StreamDenied|SinkFailed)$/);
      await runtime.close();
    }
    const runtime = await startRuntime({ dataDir, stream, shards: 1 });
    await runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
    await runtime.close();
  });

  test('a broker that resets the connection while it authenticates is one that is away', async () => {
    let resets = 0;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        resets++;
        socket.resetAndDestroy();
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const { errors, logger } = keepingLogger();
    const sasl: Sasl = { mechanism: 'plain', username: 'super', password: () => 'sesame' };
    const stream = kafka({ brokers: [`127.0.0.1:${port}`], client, sasl });
    const runtime = await startRuntime({ stream, logger, shards: 1 });
    await until(
      () => errors.length,
      (count) => count > 1 && resets > 1,
    );
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['StreamUnavailable']));
    await runtime.ref(Counter, 'c').with({ ack: 'synced' }).add(1);
    await runtime.close();
    server.close();
  });
});

test('nobody listens by that name', async () => {
  for (const client of clients) {
    const { errors, logger } = keepingLogger();
    const stream = kafka({ brokers: ['no-such-host.invalid:9092'], client, connectTimeoutMs: 500 });
    const runtime = await startRuntime({ stream, logger });
    await runtime.ref(Counter, 'c').with({ ack: 'stored' }).add(1);
    expect(errors[0]).toMatchObject({ code: 'StreamUnavailable' });
  }
});
