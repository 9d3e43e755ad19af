// The horizon never says that something is stored which is not: an actor let go too early would come back stale.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StoredHorizon } from '../../src/shard/stored-horizon.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupKind, RingMemory, Word } from '../../src/shared/ring/ring.ts';
import { TestControlBlock } from '../control-block.ts';

type Step = { do: 'publish' | 'other' | 'write' | 'store' | 'update'; count: number };
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('publish', 'other', 'write', 'store', 'update', 'update'),
  count: fc.integer({ min: 1, max: 5 }),
});

test('what it calls stored is stored, and in the end everything is', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 2 ** 31 - 400, 2 ** 32 - 400),
      fc.array(step, { maxLength: 100 }),
      (start, steps) => {
        const memory = createRing(1 << 16);
        const { words } = new RingMemory(memory);
        for (const word of [Word.head, Word.written, Word.tail]) words[word] = start | 0;
        const control = new TestControlBlock();
        const ring = new RingProducer(memory, () => false);
        const log = new RingConsumer(memory);
        const horizon = new StoredHorizon(ring, control);
        const groups: { endBytes: number; position: number }[] = [];
        let unwritten = 0;
        let position = 0;
        const write = (count: number): void => {
          for (let i = 0; i < count && unwritten > 0; i++, unwritten--) {
            log.take(log.published());
            groups[groups.length - unwritten]!.position = ++position;
          }
          // As the log thread does it: the positions first, then the ring.
          control.publish('appended', position);
          log.publishWritten();
          log.release();
        };
        const check = (): void => {
          horizon.update();
          const stored = control.position('remembered');
          for (const group of groups) {
            if (group.endBytes <= horizon.storedBytes) expect(group.position).toBeLessThanOrEqual(stored);
          }
        };
        for (const { do: what, count } of steps) {
          if (what === 'publish') {
            for (let i = 0; i < count; i++) {
              ring.publish(GroupKind.reply, 0, 0, 0, 'x'.repeat(count * 7));
              groups.push({ endBytes: ring.published, position: Number.POSITIVE_INFINITY });
              unwritten++;
            }
          } else if (what === 'other') position += count;
          else if (what === 'write') write(count);
          else if (what === 'store') {
            const stored = Math.min(control.position('appended'), control.position('remembered') + count);
            control.publish('remembered', stored);
          } else check();
        }
        write(unwritten);
        check();
        control.publish('remembered', position);
        check();
        expect(horizon.storedBytes).toBe(ring.published);
      },
    ),
    { numRuns: 300 },
  );
});

test('a store that is away for long costs bounded memory, and is noticed when it is back', () => {
  const memory = createRing(1 << 16);
  const control = new TestControlBlock();
  const ring = new RingProducer(memory, () => false);
  const log = new RingConsumer(memory);
  const horizon = new StoredHorizon(ring, control);
  for (let i = 1; i <= 5000; i++) {
    ring.publish(GroupKind.reply, 0, 0, 0, '');
    log.take(log.published());
    control.publish('appended', i);
    log.publishWritten();
    log.release();
    horizon.update();
  }
  expect(horizon.storedBytes).toBe(0);
  control.publish('remembered', 5000);
  horizon.update();
  horizon.update();
  expect(horizon.storedBytes).toBe(ring.published);
});
