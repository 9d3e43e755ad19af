// Entry of a thread that follows the log and never returns to its event loop meanwhile.
import { parentPort, workerData } from 'node:worker_threads';
import { openLogReader } from '../../src/log/lmdb.ts';
import { FrameReader } from '../../src/wire/frame.ts';
import { textAt } from './sample-log.ts';

const { folder, mapBytes, turns } = workerData as { folder: string; mapBytes: number; turns: SharedArrayBuffer };
const words = new Int32Array(turns);
const reader = openLogReader(folder, mapBytes);
const wrong: string[] = [];
let seen = 0;
let next = 1;
for (;;) {
  const written = Atomics.load(words, 0);
  for (;;) {
    const chunk = reader.read(next);
    if (!chunk) break;
    if (chunk.firstPosition < next) wrong.push(`${chunk.firstPosition} again`);
    const frame = new FrameReader(chunk.frames).at(0);
    for (let i = 0; i < chunk.count; i++, frame.at(frame.next)) {
      if (frame.dataJson !== textAt(chunk.firstPosition + i, 1)) wrong.push(`at ${chunk.firstPosition + i}`);
    }
    seen += chunk.count;
    next = chunk.firstPosition + chunk.count;
  }
  if (next <= Math.abs(written) - (written < 0 ? 1 : 0)) wrong.push(`stale: at ${next} of ${written}`);
  Atomics.store(words, 1, Math.abs(written));
  Atomics.notify(words, 1);
  if (written < 0) break;
  Atomics.wait(words, 0, written, 1000);
}
parentPort!.postMessage({ wrong: wrong.slice(0, 10), seen, last: next - 1 });
await reader.close();
