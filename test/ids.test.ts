// Identifiers: UUIDv7, in order, unique, whatever the clock does.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idToText, isUuid, newId, writeIdText, writeNewId } from '../src/wire/ids.ts';

const start = Date.now() + 3_600_000; // ahead of every id that this file makes otherwise

function idAt(now: number): string {
  const bytes = Buffer.alloc(24);
  writeNewId(bytes, 4, now);
  return idToText(bytes, 4);
}

const millisOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

describe('an id', () => {
  test('is a UUID of version 7 and of the RFC variant, with the time in front', () => {
    for (let i = 0; i < 100; i++) {
      const id = idAt(start + i);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(millisOf(id)).toBe(start + i);
    }
  });

  test('10,000 of one millisecond are unique and in order', () => {
    const ids = Array.from({ length: 10_000 }, () => idAt(start + 1000));
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual(ids);
    expect(millisOf(ids.at(-1)!)).toBe(start + 1002); // borrowed from the next two: 4096 fit in one
    const random = new Set(ids.map((id) => id.slice(19)));
    expect(random.size).toBe(ids.length);
  });

  test('a clock that goes back, stands still or leaps breaks no order', () => {
    let last = idAt(start + 10_000);
    let base = start + 10_000;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5000, max: 5000 }), { maxLength: 50 }), (steps) => {
        for (const step of steps) {
          base += step;
          const id = idAt(base);
          expect(id > last).toBe(true);
          last = id;
        }
      }),
    );
  });

  test('times beyond 32 bits of milliseconds come back whole', () => {
    const late = 2 ** 47 + 123; // no further ids of this process sort behind it: last in this file's order of times
    expect(millisOf(idAt(late))).toBe(late);
    expect(isUuid(newId())).toBe(true);
  });
});

test('text to bytes and back', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.nat(8), (id, offset) => {
      const bytes = Buffer.alloc(32, 0xee);
      writeIdText(bytes, offset, id);
      expect(idToText(bytes, offset)).toBe(id);
      expect(bytes[offset + 16]).toBe(0xee);
      expect(isUuid(id)).toBe(true);
    }),
  );
});

test('isUuid is false of anything else', () => {
  for (const text of ['', 'x', '019a0000-0000-7000-8000-00000000000', '019a0000-0000-7000-8000-0000000000000']) {
    expect(isUuid(text)).toBe(false);
  }
  expect(isUuid('019a0000-0000-7000-8000-00000000000g')).toBe(false);
  expect(isUuid('019a0000-0000-7000-8000-000000000000\n')).toBe(false);
  expect(isUuid('{19a0000-0000-7000-8000-000000000000}')).toBe(false);
});
