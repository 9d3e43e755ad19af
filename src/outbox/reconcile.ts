// What the relay does when the database has come back from an earlier state (an older dump, a standby that lacked the
// newest transactions): rows wait there again that this log has already. The log decides, by the events' keys, as far as it
// still reaches; the rest is relayed. Host thread; rare, so it reads the log once for every page of rows.

import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { FrameFlag, FrameKind } from '../wire/frame.ts';
import { eventKey, type OutboxSession } from './outbox.ts';

const pageRows = 50_000;

/** `written`: the log's end. `last`: the last batch that this log has, or has seen. Returns how many rows the log had. */
export async function reconcile(
  session: OutboxSession,
  log: LogSource,
  written: number,
  last: number,
): Promise<number> {
  let count = 0;
  for (let sequence = -1; ; ) {
    const rows = await session.doubtful(sequence, pageRows);
    if (rows.length === 0) break;
    sequence = rows.at(-1)!.sequence;
    const sequences = Map.groupBy(rows, eventKey); // an event may have several
    const done: { sequence: number; position: number }[] = [];
    eachFrame(log, log.firstPosition(), written, (frame, position) => {
      if (frame.kind !== FrameKind.event || (frame.flags & FrameFlag.alreadyStored) === 0) return;
      for (const { sequence } of sequences.get(eventKey(frame)) ?? []) done.push({ sequence, position });
    });
    await session.resolve(done);
    count += done.length;
  }
  await session.restartBehind(last);
  return count;
}
