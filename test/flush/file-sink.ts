// A user's sink: one line of JSON a batch, which holds the events and the checkpoint, and so commits both at once.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch, Sink, SinkInfo } from '../../src/log/sink.ts';

export interface FileSinkOptions {
  /** Fail while this file stands. */
  failWhile?: string;
  /** Never settle, whatever the signal says. */
  hang?: boolean;
  /** Leave a timer behind that would keep the thread. */
  leak?: boolean;
}

export function createSink(options: FileSinkOptions | undefined, info: SinkInfo): Sink {
  const file = join(info.dataDir, `${info.name}.jsonl`);
  return {
    open() {
      if (options?.leak) setInterval(() => {}, 1e6);
      if (!existsSync(file)) return 0;
      return (JSON.parse(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1)!) as { checkpoint: number })
        .checkpoint;
    },
    write(batch: Batch) {
      if (options?.hang) return new Promise(() => {});
      if (options?.failWhile && existsSync(options.failWhile)) throw new TypeError('the broker is away');
      const events = [...batch.events()];
      appendFileSync(file, `${JSON.stringify({ events, checkpoint: batch.toPosition })}\n`);
    },
    close() {
      appendFileSync(`${file}.closed`, '');
    },
  };
}
