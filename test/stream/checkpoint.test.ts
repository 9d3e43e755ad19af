// A checkpoint that this log has not written, or cannot have reached: told by name before anything is passed over or
// published twice. Somebody else writes to the topic, as whoever has the rights to its prefix may.
import { cpSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import kafkajs from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { Checkpoint, type Found } from '../../src/adapters/kafka/checkpoint.ts';
import { connect } from '../../src/adapters/kafka/connect.ts';
import type { KafkaSettings } from '../../src/adapters/kafka/kafka-options.ts';
import { revealed } from '../../src/base/hidden.ts';
import { Signer, secretFile } from '../../src/log/secret.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { Reader } from './consume.ts';
import { atEnd, clients, keepingLogger, refusalOf, type SetUp, setUp } from './setup.ts';

/** Somebody else on the cluster. */
async function neighbour({ broker, prefix }: SetUp) {
  const topic = `${prefix}.own.checkpoints`;
  const client = new kafkajs.Kafka({ brokers: [broker], clientId: 'other', logLevel: kafkajs.logLevel.NOTHING });
  const producer = client.producer();
  await producer.connect();
  atEnd(() => producer.disconnect());
  return {
    client,
    /** What our log has written there, by its key. */
    async find(key: RegExp, count = 1) {
      await using reader = await Reader.start(broker, [topic]);
      const found = () => reader.records.filter((record) => key.test(record.key));
      await until(
        () => found().length,
        (length) => length >= count,
      );
      return found();
    },
    async write(key: string, partition: number, value: string | Buffer | null): Promise<void> {
      await producer.send({ topic, messages: [{ key, partition, value }] });
    },
  };
}

const logKey = /^[0-9a-f]+$/;

test('what stands last in the topic is believed only if this log has signed it, and it does not go back', async () => {
  const set = await setUp({ client: 'platformatic' });
  const { prefix, stream, admin } = set;
  const topic = `${prefix}.own.checkpoints`;
  await (await admin()).createTopics({ topics: [{ topic, numPartitions: 1 }] });
  const { write } = await neighbour(set);
  const port = await connect(revealed(stream.options) as KafkaSettings);
  atEnd(() => port.close());
  const [dataDir, otherDir] = [scratchFolder(), scratchFolder()];
  const of = (logId: string, folder: string): Checkpoint => {
    mkdirSync(folder);
    return new Checkpoint({ client: port, topic, partitions: 1, logId, dataDir: folder });
  };
  const ours = of('aa', dataDir);
  const theirs = of('aa', otherDir); // the same name, another secret
  let turn = 0;
  const read = async (): Promise<Found> => {
    turn++;
    await port.send(ours.ownerRecord(String(turn)));
    return ours.read(String(turn));
  };
  await port.send(ours.record(5));
  expect(await read()).toMatchObject({ position: 5, invalid: undefined });
  const five = ours.record(5).value;
  const nine = ours.record(9).value;
  const altered = Buffer.from(String(nine).replace('9', '1000000000'));
  const elsewhere = ours.ownerRecord('x').value; // signed, but for another key
  const forgeries = [
    '{"position":1000000000}',
    '{"position":6}',
    theirs.record(6).value,
    altered,
    elsewhere,
    '{"position":6,"signature":null}',
    '{"position":{"toString":6},"signature":"x"}',
    'no JSON at all',
    '',
    null,
  ];
  for (const forged of forgeries) {
    await write('aa', 0, forged);
    expect(await read()).toMatchObject({ position: undefined, invalid: expect.stringContaining('has not signed') });
    await port.send(ours.record(5));
    expect(await read()).toMatchObject({ position: 5, invalid: undefined });
  }
  await port.send(ours.record(9));
  await write('aa', 0, five);
  expect(await read()).toMatchObject({
    position: undefined,
    invalid: expect.stringContaining('after it had said 9'),
  });
  await write('aa/owner', 0, theirs.ownerRecord('1').value);
  await write('aa/owner', 0, '{"instance":"x"}');
  expect(await ours.owner()).toBe(ours.instance);
});

describe.each(clients)('%s', (client) => {
  test('while running: whoever takes our transactional id and moves the checkpoint stops the stream by name', async () => {
    const set = await setUp({ client });
    const { prefix, stream } = set;
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    await runtime.ref(Counter, 'c').with({ ack: 'published' }).addMany(3);
    const { client: kafka, find } = await neighbour(set);
    const [genuine] = await find(logKey);
    const producer = kafka.producer({
      transactionalId: `${prefix}.own-${genuine!.key}`,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    atEnd(() => producer.disconnect());
    const { key, partition } = genuine!;
    const forged = await producer.transaction();
    await forged.send({
      topic: `${prefix}.own.checkpoints`,
      messages: [{ key, partition, value: '{"position":1000000000}' }],
    });
    await forged.commit();
    const { published } = runtime.status();
    const lost = errorOf(runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1));
    await until(
      () => errors.map(({ code }) => code),
      (codes) => codes.includes('CheckpointInvalid'),
    );
    expect(runtime.status().published).toBe(published);
    expect((await lost).code).toBe('CheckpointInvalid');
    await runtime.close().catch(() => {}); // why the stream has stopped has been told
  });
});

test('at the start: refused, and nothing passed over, until it is told where to go on', async () => {
  const set = await setUp();
  const { stream, streamWith, records } = set;
  const dataDir = scratchFolder();
  const first = await startRuntime({ dataDir, stream });
  const { position } = await first.ref(Counter, 'c').with({ ack: 'published' }).addMany(3);
  await first.close();
  const { find, write } = await neighbour(set);
  const [genuine] = await find(logKey);
  // Within what the log holds: only the signature tells.
  await write(genuine!.key, genuine!.partition, JSON.stringify({ position: position + 1 }));
  const refused = await refusalOf({ dataDir, stream });
  expect(refused).toMatchObject({ code: 'CheckpointInvalid', details: { stream: 'kafka', logId: genuine!.key } });
  expect(await errorOf(startRuntime({ dataDir, stream: streamWith({ resumeAfter: 1_000_000 }) }))).toMatchObject({
    code: 'InvalidOptions',
    details: { option: 'stream.resumeAfter' },
  });
  const resumed = await startRuntime({ dataDir, stream: streamWith({ resumeAfter: position }) });
  await resumed.ref(Counter, 'c').with({ ack: 'published' }).add(1);
  await resumed.close();
  const found = await records(4);
  expect(found.map(({ headers }) => headers['aggregate-version'])).toEqual(['1', '2', '3', '4']);
  // Without its secret the log believes nothing that it signed itself.
  rmSync(secretFile(dataDir));
  expect(await refusalOf({ dataDir, stream })).toMatchObject({ code: 'CheckpointInvalid' });
});

test('a log that went back, an earlier copy of its directory, is refused: events would be passed over', async () => {
  const { stream } = await setUp();
  const [dataDir, copy] = [scratchFolder(), scratchFolder()];
  const first = await startRuntime({ dataDir, stream });
  await first.ref(Counter, 'c').with({ ack: 'published' }).add(1);
  await first.close();
  cpSync(dataDir, copy, { recursive: true });
  const on = await startRuntime({ dataDir, stream });
  await on.ref(Counter, 'c').with({ ack: 'published' }).addMany(3);
  await on.close();
  const error = await refusalOf({ dataDir: copy, stream });
  expect(error).toMatchObject({ code: 'LogDamaged', details: { reason: expect.stringContaining('was published') } });
});

test('the secret of a log is made once, for its service alone, and shows nowhere', () => {
  const folder = scratchFolder();
  mkdirSync(folder);
  const signer = Signer.open(folder, 'aa');
  const words = ['topic', 'key', 7];
  const signature = signer.sign(words);
  expect(Signer.open(folder, 'aa').hasSigned(words, signature)).toBe(true);
  expect(statSync(secretFile(folder)).mode & 0o777).toBe(0o600);
  const { secret } = JSON.parse(readFileSync(secretFile(folder), 'utf8')) as { secret: string };
  expect(inspect(signer, { showHidden: true, depth: 9 }) + JSON.stringify(signer)).not.toContain(secret.slice(0, 8));
  for (const other of [['topic', 'key7'], ['topic', 'key', '7'], ['topic', 'key', 7, ''], []]) {
    expect(signer.hasSigned(other, signature)).toBe(false);
  }
  for (const wrong of [undefined, null, '', signature.slice(1), `${signature}x`, 7, {}]) {
    expect(signer.hasSigned(words, wrong)).toBe(false);
  }
  expect(() => Signer.open(folder, 'bb')).toThrow(expect.objectContaining({ code: 'DataDirUnreadable' }));
  expect(() => Signer.open(join(folder, 'no', 'folder'), 'aa')).toThrow();
});
