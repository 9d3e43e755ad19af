import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sharedKafka, sharedRegistry } from '../brokers.ts';
import { freshDatabase } from '../postgres.ts';
import { runFamily } from './family.ts';
import { misuse } from './misuse.ts';
import { misuseServices } from './misuse-services.ts';

test('hostile values get typed errors at every door, and nothing else is lost', async () => {
  const run = await runFamily(misuse, 1, { calls: 200, served: 0 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(2_000);
}, 180_000);

test('poison events and callbacks that throw stop nothing in PostgreSQL, Kafka, the registry and projections', async () => {
  const [database, broker, registry] = await Promise.all([freshDatabase(), sharedKafka(), sharedRegistry()]);
  const served = {
    ...misuse,
    run: (run) => misuseServices(run, { database, broker, registry, prefix: `t-${randomUUID()}`, client: 'kafkajs' }),
  } satisfies typeof misuse;
  const run = await runFamily(served, 1, { served: 30 });
  expect(run.differences).toEqual([]);
}, 180_000);
