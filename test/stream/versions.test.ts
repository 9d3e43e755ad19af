// In which versions events are published: by each name that an aggregate or an event has or had.
import { describe, expect, test } from 'vitest';
import { checkVersions } from '../../src/adapters/kafka/settings.ts';
import { Shapes } from '../../src/adapters/kafka/shapes.ts';
import { Published } from '../../src/adapters/kafka/versions.ts';
import { defineAggregate, event, versions } from '../../src/index.ts';
import { declaredEvents } from '../../src/model/catalogue.ts';
import { Sale } from './sales.ts';

const Other = defineAggregate('other', {
  module: 'file:///nowhere/other.ts',
  state: () => ({}),
  events: { Closed: event(), Noted: event() },
  evolve: { Closed: (state) => state, Noted: (state) => state },
  commands: {},
});
/** Of its three versions the second one cannot be led back. */
const Parcel = defineAggregate('parcel', {
  module: 'file:///nowhere/parcel.ts',
  state: () => ({}),
  events: {
    Weighed: versions<{ g: number }>()
      .next<{ kg: number }>(({ g }) => ({ kg: g / 1000 }))
      .next<{ grams: number }>(({ kg }) => ({ grams: kg * 1000 }), { down: ({ grams }) => ({ kg: grams / 1000 }) }),
  },
  evolve: { Weighed: (state) => state },
  commands: {},
});
const events = declaredEvents([Sale, Other, Parcel]);
const published = (versions: Record<string, number | number[]>): Published =>
  new Published(events, checkVersions(versions));
const refusal = (versions: unknown): string => {
  try {
    published(versions as never);
  } catch (error) {
    const option = expect.stringMatching(/^stream\.versions/);
    expect(error).toMatchObject({ code: 'InvalidOptions', details: { option } });
    return (error as Error).message;
  }
  return 'none';
};

describe('which', () => {
  test.each(['Agreed', 'Opened', 'deal.Agreed', 'sale.Agreed', 'deal.Opened', 'sale.Opened'])('by %s', (word) => {
    const type = word.slice(word.indexOf('.') + 1);
    const found = published({ [word]: [2, 1] });
    for (const stored of ['Agreed', 'Opened']) {
      expect(found.formsOf('sale', stored)).toEqual([
        { type, schemaVersion: 2 },
        { type, schemaVersion: 1 },
      ]);
    }
    expect(found.formsOf('sale', 'Closed')).toBeUndefined();
    const of = (schemaVersion: number) => found.events.find((one) => one.schemaVersion === schemaVersion);
    expect(of(1)).toMatchObject({ type, jsonSchema: { required: ['total'] } });
    expect(of(2)).toMatchObject({ type, jsonSchema: { required: ['total', 'currency'] } });
  });

  test('two names of one event are two records', () => {
    expect(published({ Opened: 1, Agreed: 2 }).formsOf('sale', 'Opened')).toEqual([
      { type: 'Opened', schemaVersion: 1 },
      { type: 'Agreed', schemaVersion: 2 },
    ]);
  });

  test('a name with the type adds to one without it', () => {
    const agreed = [1, 2].map((schemaVersion) => ({ type: 'Agreed', schemaVersion }));
    expect(published({ Agreed: 1, 'sale.Agreed': 2 }).formsOf('sale', 'Agreed')).toEqual(agreed);
  });

  test('none: as they are declared', () => {
    expect(published({}).events).toEqual(events);
  });
});

test('what cannot be is refused, by name', () => {
  expect(refusal({ Agree: 1 })).toContain("'Agree' is no event");
  expect(refusal({ 'other.Agreed': 1 })).toContain("'other.Agreed' is no event");
  expect(refusal({ Agreed: 3 })).toContain("'Agreed' has no version 3: it can be read in 1 to 2");
  expect(refusal({ 'sale.Closed': 1 })).toContain('no `down` leads from version 2 back to 1');
  expect(refusal({ Weighed: 1 })).toContain('no `down` leads from version 2 back to 1'); // though one leads to 2
  expect(refusal({ Weighed: 2 })).toBe('none');
  expect(refusal({ Closed: 2 })).toContain("'Closed' has no version 2"); // the other aggregate's
  expect(refusal({ Agreed: [1, 1] })).toContain("version 1 of 'Agreed' is there twice");
  expect(refusal({ 'deal.Agreed': 1, Agreed: 1 })).toContain('is there twice');
  for (const wrong of [0, 1.5, '1', [], [0], null, {}])
    expect(refusal({ Agreed: wrong })).toContain('number of a version');
  for (const wrong of [null, [], 1]) expect(refusal(wrong)).toContain('must be an object');
});

describe('how', () => {
  const stored = {
    id: '0198c0de-0000-7000-8000-000000000000',
    type: 'Opened',
    aggregateType: 'sale',
    aggregateId: 's',
    version: 1,
    schemaVersion: 1,
    position: 7,
    occurredAt: 0,
    metadata: {},
    metadataJson: '{}',
  };
  const bytes = (data: unknown): Buffer => Buffer.from(JSON.stringify(data));

  test('up, down, or the bytes themselves; the second record has an id of its own', async () => {
    const shapes = await Shapes.load(events, published({ Agreed: [1, 2] }));
    const old = { ...stored, data: bytes({ total: '3' }) };
    const [one, two] = [1, 2].map((schemaVersion) => ({ type: 'Agreed', schemaVersion }));
    expect(shapes.of(old, one!, 0)).toEqual({ ...old, type: 'Agreed' });
    expect(shapes.of(old, one!, 0).data).toBe(old.data);
    const newer = { ...old, type: 'Agreed', schemaVersion: 2, data: bytes({ total: '3', currency: 'EUR' }) };
    expect(shapes.of(old, two!, 1)).toEqual({ ...newer, id: `${stored.id}/Agreed/2` });
    expect(shapes.of(newer, one!, 0)).toEqual({ ...old, type: 'Agreed' });
  });

  test('what throws, and what the version’s validator refuses, is UpcastFailed; versions of a later release are unknown', async () => {
    const shapes = await Shapes.load(events, published({ Agreed: [1, 2] }));
    const of = (schemaVersion: number, data: unknown, wanted: number) => () =>
      shapes.of({ ...stored, schemaVersion, data: bytes(data) }, { type: 'Agreed', schemaVersion: wanted }, 0);
    expect(of(1, { total: 'broken' }, 2)).toThrow(/makes version 2 has thrown: no total/);
    expect(of(2, { total: 1, currency: 'EUR' }, 1)).toThrow(/refused by version 1's validator: total/);
    expect(of(3, {}, 1)).toThrow(expect.objectContaining({ code: 'UnsupportedEventVersion' }));
  });

  test('modules are imported only where functions are needed', async () => {
    await Shapes.load(events, published({ Noted: 1, 'other.Closed': 1 }));
    const away = events.map((one) => ({ ...one, module: 'file:///nowhere/sales.ts' }));
    await expect(Shapes.load(away, published({ Agreed: 1 }))).rejects.toThrow(/nowhere/);
    await Shapes.load(away, published({}));
    const wrong = events.map((one) => ({ ...one, module: import.meta.resolve('./sales-before.ts') }));
    await expect(Shapes.load(wrong, published({ Agreed: 1 }))).rejects.toMatchObject({ code: 'ModuleMismatch' });
  });
});
