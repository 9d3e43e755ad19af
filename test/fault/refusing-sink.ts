// A sink that will never take every seventh event.
import type { Batch, Sink } from '../../src/index.ts';

const every = 7;

export function createSink(): Sink {
  return {
    open: () => 0,
    write(batch: Batch) {
      for (const { position } of batch.events()) {
        if (position % every === 0) throw Object.assign(new Error('not this one'), { refuses: position });
      }
    },
    close() {},
  };
}
