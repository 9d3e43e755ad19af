// A sink that takes nothing until a file is there, and so keeps the log from giving anything back; its thread goes on.
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Sink } from '../../src/index.ts';

export function createSink({ file }: { file: string }): Sink {
  return {
    open: () => 0,
    async write() {
      while (!existsSync(file)) await pause(5);
    },
    close() {},
  };
}
