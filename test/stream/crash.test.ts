// Processes and brokers killed under load, audited by a read_committed consumer: every acknowledged event once, in version
// order per aggregate. Three kills by default, one of them the broker's; TRUNKLINE_LONG=1 makes it a hundred for each client.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { revealed } from '../../src/base/hidden.ts';
import { Kafka } from '../kafka.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { audit, nothing } from './audit.ts';
import { Service } from './child.ts';
import { Reader } from './consume.ts';
import { clients, setUp } from './setup.ts';

const kills = process.env.TRUNKLINE_LONG ? 100 : 3;
const everyBroker = 3; // every third kill is the broker's

let broker: Kafka;
beforeAll(async () => {
  broker = await Kafka.start();
});
afterAll(() => broker.stop());

test.each(clients)(
  `%s: ${kills} kills of process or broker`,
  async (client) => {
    const { prefix, stream } = await setUp(
      { client, requestTimeoutMs: 1000, connectTimeoutMs: 500, transactionTimeoutMs: 5000 },
      broker.address,
    );
    const dataDir = scratchFolder();
    const acknowledged: string[] = [];
    let service = new Service(dataDir, revealed(stream.options) as never);
    for (let kill = 1; kill <= kills; kill++) {
      await service.heard(service.said.length + 60 + ((kill * 37) % 150));
      if (kill % everyBroker === 0) {
        await broker.kill();
        await broker.restart();
        continue;
      }
      await service.kill();
      acknowledged.push(...service.acknowledged);
      service = new Service(dataDir, revealed(stream.options) as never);
    }
    await service.heard(service.said.length + 60);
    await service.kill();
    acknowledged.push(...service.acknowledged);
    const runtime = await startRuntime({ dataDir, stream });
    await runtime.reached('published');
    const all: string[] = [];
    for await (const { id } of runtime.events()) all.push(id);
    await using reader = await Reader.start(broker.address, [`${prefix}.counter`]);
    await until(
      () => reader.records.length,
      (count) => count >= all.length,
      120_000,
    );
    expect(acknowledged.length).toBeGreaterThan(kills * 50);
    expect(reader.records).toHaveLength(all.length);
    expect(audit(reader.records, [...acknowledged, ...all])).toEqual(nothing);
  },
  kills * 40_000,
);
