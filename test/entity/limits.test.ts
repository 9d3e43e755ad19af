// One gate of limits for every door by which an event can come: commands, entities, the publisher, the store, transactions
// and SQL refuse the same things, each with a typed error, and nothing of them is left behind.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEPTH_LIMIT, depthOf } from '../../src/base/json-depth.ts';
import { isLongJson } from '../../src/base/json-size.ts';
import {
  AggregateRoot,
  createRuntime,
  type NewEvent,
  postgres,
  type Runtime,
  TrunklineError,
} from '../../src/index.ts';
import { misfitOf } from '../../src/outbox/misfit.ts';
import { metadataTexts } from '../../src/wire/metadata.ts';
import { hostileData, hostileJson, hostileMetadata, hostileTexts, nested } from '../hostile.ts';
import { migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf } from '../runtime/scratch.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'trunkline-test-'));
let runtime: Runtime;
let client: pg.Client;

beforeAll(async () => {
  const url = await migratedDatabase();
  const store = postgres({ connectionString: url });
  runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, store });
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterAll(async () => {
  await runtime.close();
  await client.end();
  rmSync(dataDir, { recursive: true, force: true });
});

class Thing extends AggregateRoot {
  constructor(id: string) {
    super('thing', id);
  }
  happen(data: unknown, metadata: any): void {
    this.raise('Happened', data, metadata);
  }
}

let made = 0;
const sound = (): NewEvent => ({ aggregateType: 'thing', aggregateId: `t${++made}`, type: 'Happened', data: { n: 1 } });

async function inTransaction(events: readonly NewEvent[]): Promise<void> {
  await client.query('begin');
  try {
    await runtime.store.saveWithTx(client, events);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** A door by what it is called, and what it takes of an event. */
const doors: Readonly<Record<string, (event: NewEvent) => Promise<unknown>>> = {
  publish: (event) => runtime.publisher.publish(event),
  save: (event) => runtime.store.save([event]),
  'save with a version': (event) => runtime.store.save([event], { expectedVersion: 0 }),
  saveWithTx: (event) => inTransaction([event]),
};

const rightThere: Record<string, (event: NewEvent) => Promise<unknown>> = {
  'AggregateRoot.raise': async ({ aggregateId, data, metadata }) => new Thing(aggregateId).happen(data, metadata),
};

async function refused(call: Promise<unknown>): Promise<string> {
  const error = await errorOf(call);
  expect(error).toBeInstanceOf(TrunklineError);
  return (error as TrunklineError).code;
}

describe.each(Object.entries({ ...doors, ...rightThere }))('%s', (_, door) => {
  test.each(Object.entries(hostileData))('refuses data: %s', async (_what, data) => {
    expect(await refused(door({ ...sound(), data }))).toBe('UnserialisableValue');
  });

  test.each(Object.entries(hostileMetadata))('refuses %s', async (_what, metadata) => {
    const code = await refused(door({ ...sound(), metadata: metadata as any }));
    expect(['InvalidOptions', 'UnserialisableValue', 'CommandTooLarge']).toContain(code);
  });

  test('takes what lies at the limits', async () => {
    const text = 'x'.repeat(10_000);
    const metadata = Object.fromEntries(Array.from(metadataTexts, (name) => [name, text]));
    await door({ ...sound(), data: nested(DEPTH_LIMIT + 1), metadata });
    await door({ ...sound(), metadata: { correlationId: null as any, tenantId: undefined as any } });
  });
});

describe.each(Object.entries(doors))('%s', (_, door) => {
  test.each(Object.entries(hostileTexts))('refuses as id and as types: %s', async (_what, text) => {
    for (const field of ['aggregateId', 'aggregateType', 'type', 'id'] as const) {
      expect(await refused(door({ ...sound(), [field]: text }))).toMatch(/^InvalidId$/);
    }
  });

  test('refuses times and numbers that not every store has', async () => {
    for (const occurredAt of [new Date(Number.NaN), new Date(-8.64e15), new Date('-004712-01-01')]) {
      expect(await refused(door({ ...sound(), occurredAt }))).toBe('InvalidOptions');
    }
    for (const version of [0, -1, 1.5, 2 ** 31, Number.NaN]) {
      expect(await refused(door({ ...sound(), version }))).toMatch(/^(InvalidOptions|ConcurrencyConflict)$/);
    }
    await door({ ...sound(), occurredAt: new Date('-004711-01-01T00:00:00.000Z') });
    await door({ ...sound(), occurredAt: new Date(8.64e15) });
  });
});

describe('a command', () => {
  test.each(Object.entries(hostileMetadata))('refuses %s', async (_what, metadata) => {
    const call = async (): Promise<unknown> =>
      runtime
        .ref(Counter, 'c')
        .with({ metadata: metadata as any })
        .add(1);
    expect(await refused(call())).toMatch(/^(InvalidOptions|UnserialisableValue|CommandTooLarge)$/);
  });

  test.each(Object.entries(hostileTexts))('refuses as id and as idempotency key: %s', async (_what, text) => {
    const byId = async (): Promise<unknown> => runtime.ref(Counter, text as string).add(1);
    const byKey = async (): Promise<unknown> =>
      runtime
        .ref(Counter, 'c')
        .with({ idempotencyKey: text as string })
        .add(1);
    expect(await refused(byId())).toBe('InvalidId');
    expect(await refused(byKey())).toBe('InvalidId');
  });
});

describe('raise_event in SQL', () => {
  const raise = (type: unknown, id: unknown, name: unknown, data: string, metadata = '{}'): Promise<unknown> =>
    client.query('select trunkline.raise_event($1, $2, $3, $4, $5)', [type, id, name, data, metadata]);

  /** A refusal of ours, or of the server's own that text or JSON can be no such thing. */
  const states = /^(22023|22021|22P02|22P05|54001)$/;
  const stateOf = async (call: Promise<unknown>): Promise<string> => ((await errorOf(call)) as { code: string }).code;

  test.each(Object.entries(hostileJson))('refuses data: %s', async (_what, json) => {
    expect(await stateOf(raise('thing', 'sql', 'Happened', json))).toMatch(states);
  });

  test.each(Object.entries(hostileMetadata).filter(([what]) => !what.includes('toJSON')))(
    'refuses %s',
    async (_what, metadata) => {
      expect(await stateOf(raise('thing', 'sql', 'Happened', '{}', JSON.stringify(metadata)))).toMatch(states);
    },
  );

  test('refuses numbers that no double holds, ids of a wrong length, and names the field', async () => {
    expect(await stateOf(raise('thing', 'sql', 'Happened', '[1e309]'))).toBe('22023');
    expect(await stateOf(raise('thing', '', 'Happened', '{}'))).toBe('22023');
    expect(await stateOf(raise('thing', 'x'.repeat(256), 'Happened', '{}'))).toBe('22023');
    expect(await stateOf(raise('x'.repeat(101), 'sql', 'Happened', '{}'))).toBe('22023');
    const error = await errorOf(raise('thing', 'sql', 'Happened', '{}', '{"tenantId":7}'));
    expect((error as Error).message).toContain('metadata.tenantId');
  });

  test('takes what lies at the limits', async () => {
    const text = 'x'.repeat(10_000);
    const metadata = Object.fromEntries(Array.from(metadataTexts, (name) => [name, text]));
    await raise('thing', 'sql', 'Happened', JSON.stringify(nested(DEPTH_LIMIT + 1)), JSON.stringify(metadata));
    const nothing = Object.fromEntries(Array.from(metadataTexts, (name) => [name, null]));
    await raise('thing', 'sql', 'Happened', '{}', JSON.stringify(nothing));
    const { rows } = await client.query(
      `select count(*)::int as count from trunkline.aggregates where aggregate_id = 'sql'`,
    );
    expect(rows[0].count).toBe(1);
  });
});

/** JSON, and its bytes without blanks, where no number is longer than those of JavaScript. */
const measured: [string, number][] = [
  ...['7', '[1, -2.5e-7, "a b\\" c", {"é": null, "b" : [ ]}]', '{"a": "\\\\", "b": true}'].map(
    (text): [string, number] => [text, Buffer.byteLength(JSON.stringify(JSON.parse(text)))],
  ),
  [`[${'9'.repeat(400)}, -0.${'0'.repeat(300)}1]`, 53],
];

describe('what comes by another door', () => {
  test('is measured as text, without being parsed', () => {
    expect(depthOf('7')).toBe(0);
    expect(depthOf('{"a":"[[[[","b":["\\"[[",{}]}')).toBe(3);
    for (const [text, bytes] of measured) {
      expect([text, isLongJson(text, bytes - 1), isLongJson(text, bytes)]).toEqual([text, true, false]);
    }
    const event = { aggregateType: 'a', aggregateId: 'a', version: 1, type: 'A', schemaVersion: 1, occurredAt: 0 };
    const fault = (data: string, metadata: string | null): string | undefined => misfitOf({ ...event, data, metadata });
    expect(fault(JSON.stringify(nested(DEPTH_LIMIT + 1)), null)).toBeUndefined();
    expect(fault(JSON.stringify(nested(DEPTH_LIMIT + 2)), null)).toContain('nested deeper');
    expect(fault('{}', `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)).toContain('nested deeper');
  });
});
