// A sink whose write does not give its thread back: it notes that it has begun, and waits for a file that never comes.
import { existsSync, writeFileSync } from 'node:fs';
import type { Sink } from '../../src/index.ts';

const nap = new Int32Array(new SharedArrayBuffer(4));

export function createSink({ marks }: { marks: string }): Sink {
  return {
    open: () => 0,
    write() {
      writeFileSync(`${marks}-begun`, '');
      while (!existsSync(`${marks}-end`)) Atomics.wait(nap, 0, 0, 5);
    },
    close() {},
  };
}
