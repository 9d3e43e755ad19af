// How another process asks the owner of a data directory to do something with its handlers: a file put into a folder, and
// lines appended to another by way of answer. (Only the owner may write, and only it has the handlers' code.)
//
//   handlers/requests/<id>.json     what is asked; removed when it is taken
//   handlers/requests/<id>.answer   JSON lines: { progress } …, then { result } or { error }
//
// Invariant: a request is carried out at most once. It appears by a rename, so that nobody reads half of one.
import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fromWire, TrunklineError, toWire, type WireError } from '../errors.ts';
import type { DeadLetterQuery } from './dead-letters.ts';
import type { ReplayProgress } from './replay.ts';

/** What may be asked. Times as ISO 8601. */
export type HandlerRequest =
  | { kind: 'requeue' | 'discard'; which: string | DeadLetterQuery; dryRun: boolean }
  | { kind: 'edit'; id: string; data: unknown }
  | {
      kind: 'replay';
      handler: string;
      from?: number | string;
      to?: number | string;
      types?: string[];
      aggregate?: string;
      aggregateId?: string;
      eventsPerSecond?: number;
      dryRun: boolean;
    };

type Answer = { progress: ReplayProgress } | { result: unknown } | { error: WireError };

const folderOf = (handlersFolder: string): string => join(handlersFolder, 'requests');
const lookEveryMs = 1000; // watching a folder is a hint, no more
const answerLookMs = 20;

/** The owner's side. */
export class Requests {
  private readonly folder: string;
  private readonly carryOut: (
    request: HandlerRequest,
    onProgress: (progress: ReplayProgress) => void,
  ) => Promise<unknown>;
  private watcher: FSWatcher | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(handlersFolder: string, carryOut: Requests['carryOut']) {
    this.folder = folderOf(handlersFolder);
    this.carryOut = carryOut;
  }

  start(): void {
    if (this.timer !== undefined) return;
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    this.timer = setInterval(() => this.look(), lookEveryMs).unref();
    try {
      this.watcher = watch(this.folder, { persistent: false }, () => this.look());
      this.watcher.on('error', () => {});
    } catch {}
    this.look();
  }

  close(): void {
    clearInterval(this.timer);
    this.watcher?.close();
  }

  private look(): void {
    for (const name of readdirSync(this.folder)) {
      if (name.endsWith('.json')) void this.take(name.slice(0, -'.json'.length));
    }
  }

  private async take(id: string): Promise<void> {
    const file = join(this.folder, `${id}.json`);
    const say = (answer: Answer): void =>
      appendFileSync(join(this.folder, `${id}.answer`), `${JSON.stringify(answer)}\n`, { mode: 0o600 });
    try {
      const request = JSON.parse(readFileSync(file, 'utf8')) as HandlerRequest;
      rmSync(file);
      say({ result: await this.carryOut(request, (progress) => say({ progress })) });
    } catch (error) {
      rmSync(file, { force: true });
      say({ error: toWire(error, { aggregateType: 'handlers', command: 'request' }) });
    }
  }
}

/** The other side: ask, and wait for the answer. @throws what the owner's side threw; HandlerFailed if it does not answer */
export async function ask(
  handlersFolder: string,
  request: HandlerRequest,
  { timeoutMs, onProgress = () => {} }: { timeoutMs: number; onProgress?: (progress: ReplayProgress) => void },
): Promise<unknown> {
  const folder = folderOf(handlersFolder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const id = randomUUID();
  const answerFile = join(folder, `${id}.answer`);
  writeFileSync(join(folder, `${id}.new`), JSON.stringify(request), { mode: 0o600 });
  renameSync(join(folder, `${id}.new`), join(folder, `${id}.json`));
  let read = 0;
  let heardAt = Date.now();
  try {
    for (;;) {
      const lines = readLines(answerFile);
      for (const line of lines.slice(read)) {
        const answer = JSON.parse(line) as Answer;
        heardAt = Date.now();
        if ('progress' in answer) onProgress(answer.progress);
        else if ('error' in answer) throw fromWire(answer.error);
        else return answer.result;
      }
      read = lines.length;
      if (Date.now() - heardAt > timeoutMs) {
        const cause = `the process that owns the data directory has not answered for ${timeoutMs} ms`;
        throw new TrunklineError('HandlerFailed', { handler: request.kind, cause });
      }
      await pause(answerLookMs);
    }
  } finally {
    for (const end of ['json', 'answer']) rmSync(join(folder, `${id}.${end}`), { force: true });
  }
}

/** Whole lines. */
function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}
