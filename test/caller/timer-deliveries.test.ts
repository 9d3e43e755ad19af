// Messages of timers as deliveries have them: taken back while they wait, and what the store refuses of one that is taken back.
import { mkdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { TrunklineError } from '../../src/base/errors.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import { Deliveries } from '../../src/dispatch/deliveries.ts';
import type { MessageSender } from '../../src/dispatch/delivery.ts';
import { readLastRun } from '../../src/dispatch/last-run.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { resolveMessages } from '../../src/model/message-options.ts';
import type { Message } from '../../src/wire/message.ts';
import { TestControlBlock } from '../control-block.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';
import { MemoryLog } from '../store/sample.ts';

const tick: Message = {
  ...{ id: '00000000-0000-7000-8000-000000000001', position: 1, sender: { aggregateType: '', aggregateId: 'tick' } },
  ...{ aggregateType: 'A', aggregateId: '1', command: 'tick', inputJson: '[]', metadataJson: '' },
};

async function deliveriesTo(sender: object): Promise<Deliveries> {
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  const settings = { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} };
  const state = new StateTables(() => LmdbTables.open(folder), settings);
  const log = new MemoryLog();
  const heard = { refused() {}, parked() {}, heldUp() {} };
  const deliveries = new Deliveries(sender as MessageSender, new TestControlBlock(), resolveMessages({}), heard);
  const box = new MessageBox(state, () => true);
  const lastRun = await readLastRun(log, 1, log.last);
  deliveries.recover(lastRun, box, await box.load(1, lastRun.carriedOut));
  onTestFinished(async () => {
    deliveries.close();
    await state.close();
  });
  return deliveries;
}

test('one that has set its own name again, and whose outcome the store refuses, is executed once more', async () => {
  const { promise: stored, reject: refuse } = Promise.withResolvers<void>();
  let asked = 0;
  const deliveries = await deliveriesTo({
    closed: undefined,
    progress: { isStoreElsewhere: true },
    reached: async () => {},
    sendNamed: async (...all: any[]) => {
      all.at(-1).onOutcome(1);
      return { whenAt: () => (++asked === 1 ? stored : Promise.resolve()) };
    },
  });
  let [isReplaced, looks, ended] = [false, 0, 0];
  deliveries.due(tick, {
    isOver: () => {
      if (++looks > 1_000) throw new Error('it is asked without end');
      return isReplaced;
    },
    release: async () => {},
    ended: () => ended++,
  });
  await until(
    () => asked,
    (count) => count === 1,
  );
  isReplaced = true;
  deliveries.fenced([tick]);
  refuse(new TrunklineError('Quarantined', { aggregateType: 'A', aggregateId: '1', version: 1, position: 1 } as never));
  await until(
    () => ended,
    (count) => count === 1,
  );
  expect(asked).toBe(2);
});

test('one that was cancelled leaves the tables once the cancel is synced', async () => {
  const { promise: synced, resolve: sync } = Promise.withResolvers<void>();
  const deliveries = await deliveriesTo({
    closed: undefined,
    progress: { isStoreElsewhere: false },
    reached: () => synced,
    sendNamed: async () => expect.unreachable(),
  });
  const steps: string[] = [];
  const watch = { release: async () => void steps.push('released'), ended: () => void steps.push('ended') };
  deliveries.due(tick, { isOver: () => true, ...watch });
  await new Promise((resolve) => setImmediate(resolve));
  steps.push('synced');
  sync();
  await until(
    () => steps.length,
    (count) => count === 3,
  );
  expect(steps).toEqual(['synced', 'released', 'ended']);
});
