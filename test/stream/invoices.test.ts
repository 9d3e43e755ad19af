// Integration events of events that others have written: whatever metadata the log has, their public form has it too.
import { expect, test } from 'vitest';
import { postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { startRuntime, until } from '../runtime/scratch.ts';
import { keepingLogger, setUp } from './setup.ts';

const integration = new URL('./invoice-integrations.ts', import.meta.url).href;

test('an event of raise_event, of save_event, and one with the longest metadata have their integration events', async () => {
  const url = await migratedDatabase();
  const { prefix, stream, records } = await setUp({ integration });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger, store: postgres({ connectionString: url }) });
  const saved = `gen_random_uuid(), 'invoice', 'saved', 'Made', 1, now(), '{}', '{"source": "a saver"}', null`;
  await administer(url, `select trunkline.save_event(${saved})`);
  await administer(url, `select trunkline.raise_event('invoice', 'raised', 'Made', '{}')`);
  await until(
    () => runtime.status().relay!.relayed,
    (count) => count === 2,
  );
  const filling = 'x'.repeat((1 << 18) - '{"note":""}'.length);
  const longest = { aggregateType: 'invoice', aggregateId: 'longest', type: 'Made', data: {} };
  await runtime.publisher.publish({ ...longest, metadata: { note: filling } });
  await runtime.reached('published');
  expect(errors).toEqual([]);
  expect(runtime.status().setAside).toEqual({});
  const found = await records(3, `${prefix}.integration.invoice`);
  const said = new Map(found.map(({ key, value }) => [key, JSON.parse(String(value)).metadata]));
  expect([...said.keys()].sort()).toEqual(['longest', 'raised', 'saved']);
  expect(said.get('saved')).toMatchObject({ source: 'a saver' });
  expect(said.get('raised')).toMatchObject({ databaseRole: new URL(url).username });
  expect(said.get('longest').note).toBe(filling);
});
