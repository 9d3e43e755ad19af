// A database role that may save events of any entity chooses the names of types and events. By no name does it get a record
// onto a topic of another type or of integration events, or a topic made that stands in the way of one of these.
import { expect, test } from 'vitest';
import { postgres, type Runtime } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { startRuntime, until } from '../runtime/scratch.ts';
import { keepingLogger, setUp } from './setup.ts';
import { Order } from './shop-order.ts';

const integration = new URL('./integrations.ts', import.meta.url).href;

/** Saves one event of each of these, [aggregate type, event type], and waits until the log has them and the stream is past them. */
async function save(url: string, runtime: Runtime, pairs: readonly (readonly [string, string])[]): Promise<void> {
  for (const [aggregateType, type] of pairs) {
    const names = `'${aggregateType}', 'victim', '${type}'`;
    await administer(
      url,
      `select trunkline.save_event(gen_random_uuid(), ${names}, 1, now(), '{"forged": 1}', null, null)`,
    );
  }
  await until(
    () => runtime.status().relay!.relayed,
    (count) => count === pairs.length,
  );
  await runtime.reached('published');
}

const typeOf = ({ details }: { details: any }): string => `${details.aggregateType} ${details.eventType}`;

test('topics of integration events and of declared ones, in every spelling', async () => {
  const url = await migratedDatabase();
  const { prefix, stream, records, admin } = await setUp({ integration });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger, store: postgres({ connectionString: url }) });
  await runtime.reached('published');
  const foreign = [
    ['integration.counter', 'counter-named.v2'],
    ['integration_counter', 'x'],
    ['Integration.Counter', 'x'],
    ['integration.another', 'x'],
    ['COUNTER', 'Added'],
    ['own.quarantine', 'x'],
    ['own_checkpoints', 'x'],
  ] as const;
  await save(url, runtime, [...foreign, ['integration_run', 'x'], ['ledger', 'x']]);
  const told = await until(
    () => errors,
    ({ length }) => length >= foreign.length,
  );
  expect(told.map(typeOf)).toEqual(foreign.map((pair) => pair.join(' ')));
  await runtime.ref(Counter, 'victim').with({ ack: 'published' }).label('true name');
  const found = await records(1, `${prefix}.integration.counter`);
  expect(found.map(({ headers }) => headers['event-type'])).toEqual(['counter-named.v2']);
  expect(JSON.parse(String(found[0]!.value)).data).toEqual({ name: 'true name' });
  expect(runtime.status().setAside[stream.name]).toBe(foreign.length);
  const made = (await (await admin()).listTopics()).filter((topic) => topic.startsWith(`${prefix}.`));
  expect(made.map((topic) => topic.slice(prefix.length + 1)).sort()).toEqual(
    ['counter', 'integration.counter', 'integration_run', 'ledger', 'own.checkpoints', 'own.quarantine'].sort(),
  );
});

test('a template with both names: where the one ends and the other begins', async () => {
  const url = await migratedDatabase();
  const { prefix, stream, records } = await setUp({ topics: { template: '{prefix}.{aggregate_type}.{event_type}' } });
  const { errors, logger } = keepingLogger();
  const store = postgres({ connectionString: url });
  const runtime = await startRuntime({ stream, logger, store, aggregates: [Order] });
  await runtime.ref(Order, 'o1').with({ ack: 'published' }).pay(1);
  const foreign = [
    ['shop', 'order.Paid'],
    ['shop', 'order_Paid'],
    ['integration', 'counter'],
  ] as const;
  await save(url, runtime, [...foreign, ['shop', 'Opened']]);
  const told = await until(
    () => errors,
    ({ length }) => length >= foreign.length,
  );
  expect(told.map(typeOf)).toEqual(foreign.map((pair) => pair.join(' ')));
  expect(errors[0]!.message).toContain(`topic '${prefix}.shop.order.Paid' is that of shop.order.Paid`);
  const found = await records(2, `${prefix}.shop.order.Paid`, `${prefix}.shop.Opened`);
  expect(found.map(({ key }) => key).sort()).toEqual(['o1', 'victim']);
});

test('a naming that does not ask for the aggregate type: types share a topic, as it says', async () => {
  const url = await migratedDatabase();
  const { prefix, stream, records } = await setUp({ topics: { template: '{prefix}.all' } });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger, store: postgres({ connectionString: url }) });
  await runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
  await save(url, runtime, [['ledger', 'Opened']]);
  expect(errors).toEqual([]);
  expect(await records(2, `${prefix}.all`)).toHaveLength(2);
});
