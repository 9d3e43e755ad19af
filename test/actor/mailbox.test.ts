// The mailbox against a plain queue.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Command } from '../../src/shard/command.ts';
import { Mailbox } from '../../src/shard/mailbox.ts';

test('first in, first out, never more than the limit, whatever the order of puts and takes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -150, max: 150 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 300 }),
      (moves, limit) => {
        const mailbox = new Mailbox(limit);
        const model: number[] = [];
        let next = 0;
        for (const move of moves) {
          for (let i = 0; i < Math.abs(move); i++) {
            if (move > 0) {
              const fits = model.length < limit;
              expect(mailbox.put({ slot: next } as Command)).toBe(fits);
              if (fits) model.push(next);
              next++;
            } else expect(mailbox.take()?.slot).toBe(model.shift());
            expect(mailbox.length).toBe(model.length);
          }
        }
      },
    ),
  );
});
