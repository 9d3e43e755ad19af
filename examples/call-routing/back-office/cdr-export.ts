// Call detail records in a file, each exactly once, numbered without a gap: what a carrier settles by.
//
// A file knows no transactions, so the handler keeps the file's end in its own: lines are written at the end that is committed,
// synced, and then the new end is committed together with the events. After a crash the same events come again in the same
// order, and are written to the same place: nothing is there twice, and nothing is missing.
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Runtime, Subscription } from 'trunkline';
import { Call, type CallCompleted } from '../domain/call.ts';

/** Where the next line goes, and which number it has. */
interface End {
  readonly bytes: number;
  readonly sequence: number;
}

const table = 'cdr-export';

export class CdrExport {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  start(runtime: Runtime): Subscription {
    return runtime.subscribe({
      name: 'CdrExport',
      aggregates: [Call],
      events: ['CallCompleted'],
      batch: { max: 500, maxDelayMs: 20 },
      onExhausted: 'stop', // a full disk must not leave holes in the numbering
      handle: async (events, { tx }) => {
        let { bytes, sequence } = (await tx.get<End>(table, this.#file)) ?? { bytes: 0, sequence: 1 };
        let text = '';
        for (const { aggregateId, occurredAt, data } of events) {
          const { billedSeconds, cost } = data as CallCompleted;
          text += `${sequence++},${aggregateId},${occurredAt.toISOString()},${billedSeconds},${cost}\n`;
        }
        await this.#write(text, bytes);
        bytes += Buffer.byteLength(text);
        tx.put(table, this.#file, { bytes, sequence } satisfies End);
      },
    });
  }

  async #write(text: string, at: number): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true });
    const file = await open(this.#file, 'a+').then(async (made) => {
      await made.close();
      return open(this.#file, 'r+');
    });
    try {
      await file.truncate(at); // a crash has left lines behind the end that was committed
      await file.write(text, at);
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}

export interface CdrAudit {
  readonly records: number;
  readonly gaps: readonly string[];
  readonly repeated: readonly string[];
  /** Completed calls without a record. */
  readonly missing: readonly string[];
}

/** Hold the file against the events. */
export async function auditCdrs(file: string, runtime: Runtime): Promise<CdrAudit> {
  const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
  const calls = new Set<string>();
  const gaps: string[] = [];
  const repeated: string[] = [];
  for (const [i, line] of lines.entries()) {
    const [sequence, callId] = line.split(',') as [string, string];
    if (Number(sequence) !== i + 1) gaps.push(`${sequence} in line ${i + 1}`);
    if (calls.has(callId)) repeated.push(callId);
    calls.add(callId);
  }
  const missing: string[] = [];
  for await (const { aggregateId } of runtime.events({ aggregate: Call, type: 'CallCompleted' })) {
    if (!calls.has(aggregateId)) missing.push(aggregateId);
  }
  return { records: lines.length, gaps, repeated, missing };
}
