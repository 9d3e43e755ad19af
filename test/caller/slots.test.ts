// Slots against a plain map: a number belongs to one at a time.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Slots } from '../../src/dispatch/slots.ts';

test('numbers are small, belong to one at a time, and are used again', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 100 }), (moves) => {
      const slots = new Slots<string>(30);
      const model = new Map<number, string>();
      let most = 0;
      for (const [i, move] of moves.entries()) {
        if (move >= 0) {
          if (slots.isFull) continue;
          const slot = slots.add(`item ${i}`);
          expect(model.has(slot)).toBe(false);
          model.set(slot, `item ${i}`);
          most = Math.max(most, model.size);
          expect(slot).toBeLessThan(most);
        } else if (model.size > 0) {
          const slot = [...model.keys()][-move % model.size]!;
          slots.remove(slot);
          model.delete(slot);
        }
        expect(slots.count).toBe(model.size);
        expect(slots.isFull).toBe(model.size >= 30);
        expect(new Map(slots.entries())).toEqual(model);
        for (const [slot, item] of model) expect(slots.get(slot)).toBe(item);
      }
    }),
  );
});
