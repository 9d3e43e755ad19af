// A real broker in trouble: killed, frozen, silent; topics that go away; a second process with the same log.
import { cpSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { revealed } from '../../src/base/hidden.ts';
import type { Kafka } from '../kafka.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { audit, nothing } from './audit.ts';
import { Service } from './child.ts';
import { Reader } from './consume.ts';
import { ApiKey, type LossyProxy, startBehindProxy } from './lossy-proxy.ts';
import { atEnd, clients, keepingLogger, setUp } from './setup.ts';

// One for all cases, since a start costs seconds of CPU time. Clients come to it by the proxy.
let broker: Kafka;
let proxy: LossyProxy;
let address: string;
beforeAll(async () => {
  ({ broker, proxy, address } = await startBehindProxy());
});
afterAll(async () => {
  await proxy.close();
  await broker.stop();
});

const impatient = { requestTimeoutMs: 1000, connectTimeoutMs: 500, transactionTimeoutMs: 5000 };

describe.each(clients)('%s', (client) => {
  test('the broker is killed under load, again and again', { timeout: 240_000 }, async () => {
    const { prefix, stream } = await setUp({ client, ...impatient }, address);
    const runtime = await startRuntime({ stream });
    const acknowledged: string[] = [];
    const state = { stop: false };
    const load = Array.from({ length: 4 }, async (_, number) => {
      for (let i = 0; !state.stop; i++) {
        const { events } = await runtime.ref(Counter, `c${(number + i) % 5}`).addMany(3);
        acknowledged.push(...events.map(({ id }) => id));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    });
    try {
      for (let kill = 0; kill < 2; kill++) {
        const before = runtime.status().published;
        await until(
          () => runtime.status().published,
          (published) => published > before + 100,
          60_000,
        );
        await broker.kill();
        await broker.restart();
      }
    } finally {
      state.stop = true;
    }
    await Promise.all(load);
    await runtime.reached('published');
    await using reader = await Reader.start(address, [`${prefix}.counter`]);
    await until(
      () => reader.records.length,
      (count) => count >= acknowledged.length,
      120_000,
    );
    expect(reader.records).toHaveLength(acknowledged.length);
    expect(audit(reader.records, acknowledged)).toEqual(nothing);
  });

  test('a broker that hangs holds nobody up; what waited comes when it goes on', async () => {
    const { stream, records } = await setUp({ client, ...impatient }, address);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const counter = runtime.ref(Counter, 'c');
    await counter.with({ ack: 'published' }).add(1);
    broker.freeze();
    try {
      const { position } = await counter.with({ ack: 'stored' }).add(1);
      await until(
        () => errors.length,
        (count) => count > 0,
      );
      expect(runtime.status().published).toBeLessThan(position);
      expect(errors[0]!.code).toMatch(/StreamUnavailable|SinkFailed/);
    } finally {
      broker.thaw();
    }
    await runtime.reached('published');
    expect(audit(await records(2), [])).toEqual(nothing);
  });

  test('answers get lost, break off, or say no though it was done, those to the commit among them', async () => {
    const before = proxy.requests.length;
    const { stream, records } = await setUp({ client, ...impatient }, address);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const acknowledged: string[] = [];
    const { produce, initProducerId, addPartitions, endTransaction } = ApiKey;
    const losses = [
      [produce],
      [endTransaction],
      [addPartitions],
      [endTransaction, initProducerId],
      [],
      [endTransaction],
    ];
    const [concurrentTransactions, throttlingQuotaExceeded] = [51, 89];
    const rounds: (() => void)[] = [
      ...losses.map((kinds) => () => kinds.forEach((kind) => void proxy.lose(kind))),
      ...losses.map((kinds) => () => kinds.forEach((kind) => void proxy.tear(kind))),
      () => proxy.deny(endTransaction, throttlingQuotaExceeded),
      () => {
        proxy.deny(endTransaction, concurrentTransactions);
        proxy.deny(initProducerId, concurrentTransactions);
      },
    ];
    for (const begin of rounds) {
      begin();
      // One that is set aside, and counted also where it is the next producer that finds it committed.
      await runtime.publisher.publish({ aggregateType: 'no topic', aggregateId: 'x', type: 'Happened', data: {} });
      const receipts = await Promise.all(Array.from({ length: 4 }, (_, i) => runtime.ref(Counter, `c${i}`).addMany(2)));
      acknowledged.push(...receipts.flatMap(({ events }) => events.map(({ id }) => id)));
      await runtime.reached('published');
    }
    const requests = proxy.requests.slice(before);
    expect(requests.filter(({ isLost }) => isLost)).toHaveLength(2 * losses.flat().length);
    expect(errors.every(({ code }) => code !== 'StreamFenced' && code !== 'CheckpointMissing')).toBe(true);
    // A transaction is ended once: a second request for it could meet the one after it. Only a new producer goes on.
    const ends = requests.filter(({ kind }) => kind === endTransaction || kind === initProducerId);
    const nextOnes = ends.flatMap(({ kind, isLost }, i) =>
      kind === endTransaction && isLost ? [ends[i + 1]!.kind] : [],
    );
    expect(nextOnes).toEqual(nextOnes.map(() => initProducerId));
    const found = await records(acknowledged.length);
    expect(found).toHaveLength(acknowledged.length);
    expect(audit(found, acknowledged)).toEqual(nothing);
    await runtime.setPublishing({ counter: true }); // answered behind what was counted
    expect(runtime.status().setAside).toEqual({ [stream.name]: rounds.length });
    expect(proxy.undenied).toBe(0);
  });

  test('the broker is killed between a transaction’s messages and its end', { timeout: 120_000 }, async () => {
    const before = proxy.requests.length;
    const { stream, records } = await setUp({ client, ...impatient }, address);
    const runtime = await startRuntime({ stream });
    const counter = runtime.ref(Counter, 'c');
    await counter.with({ ack: 'published' }).add(1);
    proxy.keep(ApiKey.endTransaction);
    await counter.with({ ack: 'stored' }).addMany(3);
    await until(
      () => proxy.requests.slice(before).some(({ isKept }) => isKept),
      (isKept) => isKept,
    );
    await broker.kill();
    await counter.addMany(3);
    await broker.restart();
    await runtime.reached('published');
    const found = await records(7);
    expect(found).toHaveLength(7);
    expect(audit(found, [])).toEqual(nothing);
  });

  test('a topic that is deleted under way is made again, and what comes next is published there', async () => {
    const { prefix, stream, records, admin } = await setUp({ client, ...impatient }, address);
    const runtime = await startRuntime({ stream });
    const counter = runtime.ref(Counter, 'c');
    await counter.with({ ack: 'published' }).add(1);
    await (await admin()).deleteTopics({ topics: [`${prefix}.counter`] });
    const { version } = await counter.with({ ack: 'published' }).add(1);
    const found = await records(1);
    expect(found.map(({ headers }) => headers['aggregate-version'])).toEqual([String(version)]);
  });

  test('a frozen process that comes back finds itself fenced, and stops; nothing is published twice', {
    timeout: 240_000,
  }, async () => {
    const options = { client, ...impatient };
    const { prefix, stream } = await setUp(options, address);
    const dataDir = scratchFolder();
    const zombie = new Service(dataDir, revealed(stream.options) as never);
    atEnd(() => zombie.kill());
    await zombie.heard(50);
    zombie.process.kill('SIGSTOP');
    const copy = scratchFolder();
    cpSync(dataDir, copy, { recursive: true });
    const runtime = await startRuntime({ dataDir: copy, stream });
    await runtime.ref(Counter, 'c0').with({ ack: 'published' }).add(1);
    zombie.process.kill('SIGCONT');
    await zombie.heard(({ code }) => code === 'StreamFenced');
    await zombie.kill();
    await runtime.ref(Counter, 'c0').with({ ack: 'published' }).add(1);
    const published: string[] = [];
    for await (const { id } of runtime.events()) published.push(id);
    await using reader = await Reader.start(address, [`${prefix}.counter`]);
    await until(
      () => reader.records.length,
      (count) => count >= published.length,
      120_000,
    );
    expect(audit(reader.records, published)).toEqual(nothing);
    expect(reader.records).toHaveLength(published.length);
  });
});
