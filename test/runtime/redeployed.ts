// An aggregate whose module is another one each time a thread loads it: the file that TRUNKLINE_TEST_LOADS names says for each
// load in a row, by a letter, what it is. `g` the aggregate, `m` with a further command, `t` it throws. Beyond its end: `g`.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { defineAggregate, event } from '../../src/index.ts';

function load(): string {
  const plan = process.env.TRUNKLINE_TEST_LOADS;
  if (plan === undefined) return 'g';
  const notes = `${plan}.notes`;
  const before = existsSync(notes) ? readFileSync(notes, 'utf8').length : 0;
  const way = readFileSync(plan, 'utf8')[before] ?? 'g';
  appendFileSync(notes, way);
  return way;
}

const way = load();
if (way === 't') throw new Error('no module today');

export const Redeployed = defineAggregate('redeployed', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: { Added: event<{ amount: number }>() },
  evolve: { Added: (state, { amount }) => ({ total: state.total + amount }) },
  commands: {
    add(redeployed, amount: number) {
      redeployed.raise('Added', { amount });
      return redeployed.state.total;
    },
    die() {
      if (!isMainThread) process.exit(7);
    },
    ...(way === 'm' ? { further() {} } : {}),
  },
});
