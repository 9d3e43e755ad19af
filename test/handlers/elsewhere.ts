// A handler that runs in threads of its own: appends a line per event, and misbehaves where its id says so.
import { appendFileSync, readFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

export default async function handle(event: any, { attempt, effectKey, signal }: any): Promise<void> {
  const { aggregateId, metadata, version } = event;
  if (aggregateId === 'exits' && attempt === 1) process.exit(3);
  if (aggregateId === 'throws') throw new RangeError('broken over there');
  if (aggregateId === 'blocks') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  if (aggregateId === 'holds') holdUntil(5_000, () => readFileSync(metadata.file, 'utf8').includes('free@20'));
  if (aggregateId === 'waits') {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    appendFileSync(metadata.file, 'aborted\n');
    throw signal.reason;
  }
  if (Object.isFrozen(event.data) && threadId > 0) {
    appendFileSync(
      metadata.file,
      `${aggregateId}@${version} ${effectKey.startsWith(`${event.id}.`) && effectKey.endsWith('/elsewhere')}\n`,
    );
  }
}

/** Block the thread, for so long and until it is so; but not for ever. */
function holdUntil(leastMs: number, isSo: () => boolean): void {
  const moment = new Int32Array(new SharedArrayBuffer(4));
  const begun = performance.now();
  while (performance.now() - begun < leastMs || !isSo()) {
    if (performance.now() - begun > 40_000) throw new Error('the others have not gone on');
    Atomics.wait(moment, 0, 0, 20);
  }
}
