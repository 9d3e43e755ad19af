// An aggregate whose commands hold their shard, or wait beside it, until a file is there; and leave marks. Imported by shards.
import { appendFileSync, existsSync } from 'node:fs';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

const lookEveryMs = 5;
const nap = new Int32Array(new SharedArrayBuffer(4));

export const Held = defineAggregate('held', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: { Added: event<{ pad: string }>() },
  evolve: { Added: (state) => ({ total: state.total + 1 }) },
  commands: {
    add(held, pad = '') {
      held.raise('Added', { pad: pad.slice(0, 1) });
      return held.state.total;
    },
    total(held) {
      return held.state.total;
    },
    mark(held, file: string, name: string) {
      appendFileSync(file, `${name}\n`);
      held.raise('Added', { pad: '' });
    },
    /** Holds its shard's thread. */
    hold(held, until: string, marks = '') {
      if (marks !== '') appendFileSync(marks, 'holding\n');
      while (!existsSync(until)) Atomics.wait(nap, 0, 0, lookEveryMs);
      held.raise('Added', { pad: '' });
    },
    /** Waits beside other commands; then raises something of `bytes`. */
    async wait(held, until: string, bytes = 0, marks = '') {
      while (!existsSync(until)) await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      held.raise('Added', { pad: 'x'.repeat(bytes) });
      if (marks !== '') appendFileSync(marks, 'waited\n');
    },
    /** A listener of its own signal that throws. */
    async throwOnAbort(held, marks: string) {
      await new Promise<void>((resolve) => {
        held.signal.addEventListener('abort', () => {
          resolve();
          throw new Error('an abort listener of a command');
        });
        appendFileSync(marks, 'listening\n');
      });
    },
    throwLater() {
      setTimeout(() => {
        throw new Error('a timer of a command');
      }, 0);
    },
  },
});
