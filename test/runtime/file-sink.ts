// A user's sink: one line an event in a file, the checkpoint in the last line of each batch.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Batch, Sink } from '../../src/index.ts';

export function createSink({ file }: { file: string }): Sink {
  let failures = 1;
  return {
    open() {
      if (!existsSync(file)) return 0;
      return Number(/^checkpoint (\d+)$/.exec(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1)!)![1]);
    },
    write(batch: Batch) {
      if (failures-- > 0) throw new Error('the broker is away');
      const lines = [...batch.events()].map((event) => `${event.position} ${event.aggregateId} ${event.version}`);
      appendFileSync(file, `${[...lines, `checkpoint ${batch.toPosition}`].join('\n')}\n`);
    },
    close() {},
  };
}
