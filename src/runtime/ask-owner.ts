// Ask the owner of a data directory to do something with its handlers, from another process: see request-files.ts.
//
// Invariant: what is asked and not taken goes with its asker, which removes its files however it ends.

import { join } from 'node:path';
import { pause, performance } from '../base/clock.ts';
import { renameSync, rmSync } from '../base/disk.ts';
import { TrunklineError } from '../base/errors.ts';
import { readBytes } from '../base/foreign-file.ts';
import { makePrivateFolder, writePrivate } from '../base/private-file.ts';
import { randomUUID } from '../base/random.ts';
import { fromWire } from '../base/wire-error.ts';
import type { ReplayProgress } from '../subscriptions/replay.ts';
import { answerIn, type HandlerRequest, REQUEST_BYTES_LIMIT, requestsFolder } from './request-files.ts';

const answerLookMs = 20;

/** Ask, and wait for the answer. @throws what the owner's side threw; HandlerFailed if it does not answer */
export async function ask(
  handlersFolder: string,
  request: HandlerRequest,
  { timeoutMs, onProgress = () => {} }: { timeoutMs: number; onProgress?: (progress: ReplayProgress) => void },
): Promise<unknown> {
  const folder = requestsFolder(handlersFolder);
  makePrivateFolder(folder);
  const id = randomUUID();
  const answerFile = join(folder, `${id}.answer`);
  writePrivate(join(folder, `${id}.new`), JSON.stringify(request));
  renameSync(join(folder, `${id}.new`), join(folder, `${id}.json`));
  let read = 0; // bytes
  let heardAt = performance.now();
  try {
    for (;;) {
      const bytes = readBytes(answerFile, REQUEST_BYTES_LIMIT, read) ?? Buffer.alloc(0);
      const end = bytes.lastIndexOf('\n') + 1;
      read += end;
      for (const line of bytes.toString('utf8', 0, end).split('\n')) {
        const answer = answerIn(line);
        if (answer === undefined) continue;
        heardAt = performance.now();
        if ('progress' in answer) onProgress(answer.progress);
        else if ('working' in answer) continue;
        else if ('error' in answer) throw fromWire(answer.error);
        else return answer.result;
      }
      if (performance.now() - heardAt > timeoutMs) {
        const cause = `the process that owns the data directory has not answered for ${timeoutMs} ms`;
        throw new TrunklineError('HandlerFailed', { handler: request.kind, cause });
      }
      await pause(answerLookMs);
    }
  } finally {
    for (const end of ['json', 'answer']) rmSync(join(folder, `${id}.${end}`), { force: true });
  }
}
