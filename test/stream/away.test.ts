// What a stream lives through that is not its own doing: store and stream away at once; a transactional id that the broker
// has forgotten.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate, postgres } from '../../src/index.ts';
import { Kafka } from '../kafka.ts';
import { PostgresServer } from '../postgres-server.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime } from '../runtime/scratch.ts';
import { audit, nothing } from './audit.ts';
import { clients, keepingLogger, setUp } from './setup.ts';

const idExpirationMs = 1000;
const impatient = { requestTimeoutMs: 1000, connectTimeoutMs: 500, transactionTimeoutMs: 5000 };

let broker: Kafka;
beforeAll(async () => {
  broker = await Kafka.start({
    'transactional.id.expiration.ms': String(idExpirationMs),
    'transaction.remove.expired.transaction.cleanup.interval.ms': '100',
  });
});
afterAll(() => broker.stop());

describe.each(clients)('%s', (client) => {
  test('PostgreSQL and Kafka away at once: commands go on, and both get everything, over a restart', {
    timeout: 180_000,
  }, async () => {
    await using server = await PostgresServer.start();
    await migrate({ connection: server.url() });
    const store = postgres({ connectionString: server.url() });
    const { stream, records } = await setUp({ client, ...impatient }, broker.address);
    const dataDir = scratchFolder();
    const first = await startRuntime({ dataDir, store, stream, shards: 1 });
    const id = first.newId();
    await first.ref(Counter, id).with({ ack: 'published' }).add(1);
    await first.reached('stored');
    await server.kill();
    await broker.kill();
    for (let i = 0; i < 20; i++) await first.ref(Counter, id).addMany(2);
    await first.close();
    const second = await startRuntime({ dataDir, store, stream, shards: 1 });
    await second.ref(Counter, id).add(1);
    await Promise.all([server.restart(), broker.restart()]);
    await Promise.all([second.reached('stored'), second.reached('published')]);
    const found = await records(42);
    expect(found).toHaveLength(42);
    expect(audit(found, [])).toEqual(nothing);
    expect(await second.store.getByAggregate(Counter, id)).toHaveLength(42);
  });

  test('the broker has forgotten the transactional id: reported, and gone on with a new one', async () => {
    const { stream, records } = await setUp({ client, ...impatient }, broker.address);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const counter = runtime.ref(Counter, 'c').with({ ack: 'published' });
    let sent = 0;
    // The broker says to nobody that it has forgotten: try, less and less often.
    for (let pauseMs = idExpirationMs; errors.length === 0 && pauseMs < 20_000; pauseMs *= 1.5) {
      await counter.add(1);
      sent++;
      await new Promise((resolve) => setTimeout(resolve, pauseMs)); // idle: that is the fault
    }
    expect(errors[0]).toMatchObject({ code: 'SinkFailed' });
    expect(errors.every(({ code }) => code === 'SinkFailed')).toBe(true);
    const found = await records(sent);
    expect(found).toHaveLength(sent);
    expect(audit(found, [])).toEqual(nothing);
  });
});
