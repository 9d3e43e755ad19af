// A broker that asks who we are, and what we may: wrong words, too few rights, and exactly those that README names.
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KafkaOptions, kafka } from '../../src/index.ts';
import { Kafka } from '../kafka.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { freePorts } from '../watched.ts';
import { clients, keepingLogger, setUp } from './setup.ts';

type Sasl = NonNullable<KafkaOptions['sasl']>;

let broker: Kafka;
let guarded: string;
let administrator: kafkajs.Admin;

const plain = (users: Record<string, string>): string =>
  `org.apache.kafka.common.security.plain.PlainLoginModule required ${Object.entries(users)
    .map(([name, password]) => `user_${name}="${password}"`)
    .join(' ')};`;

beforeAll(async () => {
  const [open, asking, controller] = await freePorts(3);
  guarded = `127.0.0.1:${asking}`;
  const listeners = `PLAINTEXT://127.0.0.1:${open},SASL_PLAINTEXT://${guarded}`;
  broker = await Kafka.start(
    {
      listeners: `${listeners},CONTROLLER://127.0.0.1:${controller}`,
      'advertised.listeners': listeners,
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
      'listener.name.sasl_plaintext.plain.sasl.jaas.config': plain({ super: 'sesame', limited: 'sesame' }),
      'listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config':
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS;User:super;User:scrambled',
    },
    ['--add-scram', 'SCRAM-SHA-256=[name=scrambled,password=sesame]'],
  );
  administrator = new kafkajs.Kafka({
    brokers: [`127.0.0.1:${open}`],
    logLevel: kafkajs.logLevel.NOTHING,
  }).admin();
  await administrator.connect();
});
afterAll(async () => {
  await administrator.disconnect();
  await broker.stop();
});

describe.each(clients)('%s', (client) => {
  test('wrong words are denied, and not told; with the right ones all goes on where it was', async () => {
    const { prefix, streamWith } = await setUp({ client }, guarded);
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

  test('without rights it is denied; those that README names are enough', async () => {
    const sasl: Sasl = { mechanism: 'plain', username: 'limited', password: 'sesame' };
    const { prefix, stream } = await setUp({ client, sasl }, guarded);
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
