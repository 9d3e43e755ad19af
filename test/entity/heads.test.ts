// Versions of entities between publishing and store: never older than what has been published.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heads } from '../../src/entity/heads.ts';
import { TestControlBlock } from '../control-block.ts';

test('the version is the newest published, wherever it stands', () => {
  const move = fc.oneof(
    fc.record({ publish: fc.nat(3), events: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ write: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ store: fc.integer({ min: 1, max: 6 }) }),
    fc.constant({ killed: true }),
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 80 }), (moves) => {
      const control = new TestControlBlock();
      const log: { id: string; version: number }[] = []; // index + 1 = position
      const unwritten: { id: string; version: number }[] = [];
      const inStore = (id: string): { version: number } | undefined =>
        log.slice(0, control.position('stored')).findLast((event) => event.id === id);
      let heads = new Heads(control, (_, id) => inStore(id));
      const newest = new Map<string, number>();
      for (const one of moves) {
        if ('publish' in one) {
          const id = `e${one.publish}`;
          for (let i = 0; i < one.events; i++) {
            const version = heads.version('entity', id) + 1;
            expect(version).toBe((newest.get(id) ?? 0) + 1);
            heads.publishing('entity', id, version);
            newest.set(id, version);
            unwritten.push({ id, version });
          }
        } else if ('write' in one) {
          for (const event of unwritten.splice(0, one.write)) {
            log.push(event);
            heads.written('entity', event.id, event.version, log.length);
          }
          control.publish('written', log.length);
        } else if ('killed' in one) {
          // The next run finds what was written, and learns from the log what the store does not have.
          heads = new Heads(control, (_, id) => inStore(id));
          unwritten.length = 0;
          newest.clear();
          for (const [i, { id, version }] of log.entries()) {
            if (i + 1 > control.position('stored')) heads.written('entity', id, version, i + 1);
            newest.set(id, version);
          }
        } else control.publish('stored', Math.min(log.length, control.position('stored') + one.store));
        for (const [id, version] of newest) expect(heads.version('entity', id)).toBe(version);
        expect(heads.version('entity', 'nobody')).toBe(0);
        // The store of this test knows no types: what is on its way does.
        expect(heads.version('other', 'e0')).toBe(inStore('e0')?.version ?? 0);
      }
    }),
    { numRuns: 300 },
  );
});
