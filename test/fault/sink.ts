// A user's sink that survives kills: one line of JSON a batch holds its events and the checkpoint, and so commits both at
// once. A line that a kill has cut short is removed by the next start, one that a full disk has cut short at once.
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Batch, Sink, SinkInfo } from '../../src/index.ts';
import { type Held, heldFrom } from './audit.ts';
import { type Mischief, suffer } from './mischief.ts';

interface Line {
  events: Held[];
  checkpoint: number;
}

export const sinkFile = (dataDir: string): string => join(dataDir, 'file-sink.jsonl');

export function readSink(dataDir: string): { held: Held[]; checkpoint: number } {
  const file = sinkFile(dataDir);
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  const parsed = lines.map((line) => JSON.parse(line) as Line);
  return { held: parsed.flatMap(({ events }) => events), checkpoint: parsed.at(-1)?.checkpoint ?? 0 };
}

export interface SinkOptions {
  /** What its thread suffers at its n-th batch. */
  mischief?: Mischief;
  at?: number;
}

export function createSink(options: SinkOptions | undefined, { dataDir }: SinkInfo): Sink {
  const file = sinkFile(dataDir);
  let batches = 0;
  return {
    open() {
      const text = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
      const descriptor = openSync(file, 'a');
      ftruncateSync(descriptor, text.lastIndexOf(10) + 1);
      closeSync(descriptor);
      return readSink(dataDir).checkpoint;
    },
    write(batch: Batch) {
      if (++batches === options?.at) suffer(options.mischief!);
      const line: Line = { events: [...batch.events()].map(heldFrom), checkpoint: batch.toPosition };
      const { size } = statSync(file);
      try {
        appendFileSync(file, `${JSON.stringify(line)}\n`);
      } catch (error) {
        truncateSync(file, size); // the batch comes again
        throw error;
      }
    },
    close() {},
  };
}
