// What leaves the log for the box, and when: only what the box has taken, and only once that is durable.
import { mkdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import { Holds } from '../../src/dispatch/holds.ts';
import { type Holder, type Open, Relief } from '../../src/dispatch/relief.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { Signal } from '../../src/shared/control-block.ts';
import type { LetterBox, Message } from '../../src/wire/message.ts';
import { TestControlBlock } from '../control-block.ts';
import { scratchFolder } from '../runtime/scratch.ts';
import { MemoryLog } from '../store/sample.ts';

const message = (position: number): Message => ({
  ...{ id: `m${position}`, position, sender: undefined, command: 'take' },
  ...{ aggregateType: 'courier', aggregateId: 'a', inputJson: '[]', metadataJson: '' },
});

/** Everything that is ready to run has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a message is released once it is durable in the box; one that ends before the box takes it stays in the log', async () => {
  const control = new TestControlBlock();
  const holds = new Holds<Holder>(control);
  holds.begin();
  const opens = [1, 2, 3].map((position) => {
    const open: Open = {
      ...{ message: message(position), hold: undefined, outcome: undefined },
      ...{ isKept: false, isEnding: false, isVoid: false, watch: undefined },
    };
    open.hold = holds.add(position, open);
    return open;
  });
  holds.readUpTo(10);
  const [asked, taken, durable] = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const kept: unknown[] = [];
  const box = {
    async keep(some: readonly Open[], begun: (one: Open) => boolean) {
      asked!.resolve();
      await taken!.promise;
      kept.push(...some.filter(begun));
      await durable!.promise;
    },
  } as unknown as LetterBox;
  const relief = new Relief(control, holds, () => false);
  relief.begin(box, new MemoryLog());
  control.publish('floor', 4); // the sinks have passed all three
  control.setFlag(Signal.heldByMessages, 1);
  relief.look();
  await asked!.promise;
  opens[1]!.isEnding = true;
  taken!.resolve();
  await settled();
  expect([kept, control.position('settled')]).toEqual([[opens[0], opens[2]], 0]);
  expect(opens.map(({ isKept }) => isKept)).toEqual([true, false, true]);
  control.setFlag(Signal.heldByMessages, 0);
  durable!.resolve();
  await settled();
  expect(control.position('settled')).toBe(1);
  holds.release(opens[1]!.hold);
  expect(control.position('settled')).toBe(10);
});

test('the box keeps each of those that it is given, durably when it says so', async () => {
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  const [committing, mayCommit] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const open = async (): Promise<LmdbTables> => {
    const store = await LmdbTables.open(folder);
    const commit = store.commit.bind(store);
    store.commit = async (changes) => {
      committing.resolve();
      await mayCommit.promise;
      await commit(changes);
    };
    return store;
  };
  const handlerState = new StateTables(open, { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} });
  onTestFinished(() => handlerState.close());
  const some = [1, 2, 3, 4].map((position) => ({ message: message(position) }));
  let isDone = false;
  const keeping = new MessageBox(handlerState, () => true)
    .keep(some, ({ message: { position } }) => position !== 2)
    .then(() => {
      isDone = true;
    });
  await committing.promise;
  await settled();
  expect(isDone).toBe(false);
  mayCommit.resolve();
  await keeping;
  const waiting = await new MessageBox(handlerState, () => true).waitingFrom(0, 10);
  expect(waiting.map(({ position }) => position)).toEqual([1, 3, 4]);
});
