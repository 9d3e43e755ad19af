// Events of two releases on their way to Kafka, in the versions that were chosen, with a real broker and registry.
import { expect, test } from 'vitest';
import type { KafkaOptions } from '../../src/kafka.ts';
import { sharedRegistry } from '../brokers.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { Sale } from './sales.ts';
import { Sale as Before } from './sales-before.ts';
import { keepingLogger, refusalOf, setUp } from './setup.ts';

/** What the release before has raised is still on its way when the next one starts. */
async function inFlight(...totals: string[]): Promise<string> {
  const dataDir = scratchFolder();
  await using before = await startRuntime({ dataDir, aggregates: [Before] });
  for (const total of totals) await before.ref(Before, total === 'broken' ? 'b' : 's').open(total);
  return dataDir;
}

async function publish(dataDir: string, options: Partial<KafkaOptions>, count: number) {
  const { prefix, streamWith, records } = await setUp();
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ dataDir, aggregates: [Sale], stream: streamWith(options), logger });
  await runtime.ref(Sale, 's').with({ ack: 'published' }).agree('2');
  const found = await records(count, `${prefix}.sale`);
  return { prefix, found, errors, runtime };
}

const shown = ({ value, headers }: { value: Buffer; headers: Record<string, string> }, skipped = 0) => {
  const { type, schemaVersion, data } = JSON.parse(String(value.subarray(skipped)));
  expect(headers).toMatchObject({ 'event-type': type, 'schema-version': String(schemaVersion) });
  return [type, schemaVersion, data];
};

test('without `versions`, events go out as they are stored', async () => {
  const { found } = await publish(await inFlight('1'), {}, 2);
  expect(found.map((one) => shown(one))).toEqual([
    ['Opened', 1, { total: '1' }],
    ['Agreed', 2, { total: '2', currency: 'USD' }],
  ]);
});

test('the newest version, by today’s name: older events are led up', async () => {
  const { found } = await publish(await inFlight('1'), { versions: { Agreed: 2 } }, 2);
  expect(found.map((one) => shown(one))).toEqual([
    ['Agreed', 2, { total: '1', currency: 'EUR' }],
    ['Agreed', 2, { total: '2', currency: 'USD' }],
  ]);
});

test('two at once, each once, under schemas of their own; and an event that cannot be made is set aside in that version alone, which holds back none behind it', async () => {
  const url = await sharedRegistry();
  const versions = { Agreed: 2, 'sale.Opened': 1 };
  const { prefix, found, errors, runtime } = await publish(
    await inFlight('1', 'broken'),
    { versions, registry: { url } },
    5,
  );
  const of = (id: string) => found.filter(({ key }) => key === id);
  expect(of('b').map((one) => shown(one, 5))).toEqual([['Opened', 1, { total: 'broken' }]]);
  expect(of('s').map((one) => shown(one, 5))).toEqual([
    ['Agreed', 2, { total: '1', currency: 'EUR' }],
    ['Opened', 1, { total: '1' }],
    ['Agreed', 2, { total: '2', currency: 'USD' }],
    ['Opened', 1, { total: '2' }],
  ]);
  const ids = of('s').map(({ headers }) => headers['event-id']!);
  expect([ids[1], ids[3]]).toEqual([`${ids[0]}/Opened/1`, `${ids[2]}/Opened/1`]);
  const idOf = async (type: string): Promise<number> => {
    const answer = await fetch(`${url}/subjects/${prefix}.sale-${type}/versions/latest`);
    return ((await answer.json()) as { id: number }).id;
  };
  const [opened, agreed] = [await idOf('Opened'), await idOf('Agreed')];
  expect(opened).not.toBe(agreed);
  expect(of('s').map(({ value }) => value.readInt32BE(1))).toEqual([agreed, opened, agreed, opened]);
  const told = await until(
    () => errors,
    ({ length }) => length > 0,
  );
  const reason = expect.stringMatching(/^its version 2 cannot be made: .*has thrown: no total/);
  expect(told).toMatchObject([{ code: 'EventQuarantined', details: { eventType: 'Opened', reason } }]);
  expect(runtime.status().setAside).toEqual({ kafka: 1 });
});

test('a version that cannot be made is refused at the start', async () => {
  const { streamWith } = await setUp();
  const error = await refusalOf({ aggregates: [Sale], stream: streamWith({ versions: { Closed: 1 } }) });
  expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'stream.versions' } });
  expect(error.message).toContain(
    "'Closed' cannot be published in version 1: no `down` leads from version 2 back to 1",
  );
});

test('what is in flight over a deploy goes out under the schema that its own release has registered', async () => {
  const url = await sharedRegistry();
  const registry = { url, compatibility: 'NONE' } as const;
  const { prefix, stream, records } = await setUp({ registry });
  const dataDir = scratchFolder();
  {
    await using before = await startRuntime({ dataDir, aggregates: [Before], stream });
    await before.reached('published');
  }
  {
    await using before = await startRuntime({ dataDir, aggregates: [Before] });
    await before.ref(Before, 's').open('1');
    await before.ref(Before, 's').close('done');
  }
  const runtime = await startRuntime({ dataDir, aggregates: [Sale], stream });
  await runtime.ref(Sale, 's').with({ ack: 'published' }).agree('2');
  const found = await records(3, `${prefix}.sale`);
  expect(found.map((one) => shown(one, 5).slice(0, 2))).toEqual([
    ['Opened', 1],
    ['Closed', 1],
    ['Agreed', 2],
  ]);
  const idOf = async (type: string, version: number): Promise<number> => {
    const answer = await fetch(`${url}/subjects/${prefix}.sale-${type}/versions/${version}`);
    return ((await answer.json()) as { id: number }).id;
  };
  const ids = [await idOf('Opened', 1), await idOf('Closed', 1), await idOf('Agreed', 1)];
  expect(found.map(({ value }) => value.readInt32BE(1))).toEqual(ids);
  expect(await idOf('Closed', 2)).not.toBe(ids[1]);
  expect(runtime.status().setAside).toEqual({});
});

test('a version that the registry does not know is set aside, and gets no schema of another; an old name’s may be given', async () => {
  const registry = { url: await sharedRegistry(), schemas: { 'sale.Opened': { type: 'object' } } };
  const { prefix, stream, records } = await setUp({ registry });
  const { errors, logger } = keepingLogger();
  const dataDir = scratchFolder();
  {
    await using before = await startRuntime({ dataDir, aggregates: [Before] });
    await before.ref(Before, 's').open('1');
    await before.ref(Before, 's').close('done');
  }
  const runtime = await startRuntime({ dataDir, aggregates: [Sale], stream, logger });
  await runtime.ref(Sale, 's').with({ ack: 'published' }).agree('2');
  const found = await records(2, `${prefix}.sale`);
  expect(found.map((one) => shown(one, 5).slice(0, 2))).toEqual([
    ['Opened', 1],
    ['Agreed', 2],
  ]);
  const told = await until(
    () => errors,
    ({ length }) => length > 0,
  );
  const details = { eventType: 'Closed', reason: 'its version 1 has no schema in the registry' };
  expect(told).toMatchObject([{ code: 'EventQuarantined', details }]);
  expect(runtime.status().setAside).toEqual({ kafka: 1 });
});
