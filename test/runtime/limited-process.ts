// A service whose files may not grow beyond a limit: adds events until it is refused, and closes. argv: data directory.
import { createRuntime, isError } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const said: string[] = [];
const hear = (_: object, what: string): void => void said.push(what);
const runtime = await createRuntime({
  ...{ dataDir: process.argv[2]!, aggregates: [Counter], shards: 1, flush: { whenFull: 'reject' } },
  logger: { debug() {}, info() {}, warn: hear, error: hear },
});
let acknowledged = 0;
let refused: { diskIsFull: boolean } | undefined;
// What is let in waits for room; the next ones are refused.
const ref = runtime.ref(Counter, 'c').with({ deadlineMs: 500 });
while (refused === undefined) {
  const commands = Array.from({ length: 32 }, () => ref.label('x'.repeat(8000)));
  for (const result of await Promise.allSettled(commands)) {
    if (result.status === 'fulfilled') acknowledged++;
    else {
      const { reason } = result;
      if (isError(reason, 'LogFull')) refused = { diskIsFull: reason.details.diskIsFull };
      else if (!isError(reason, 'DeadlineExceeded')) throw reason;
    }
  }
}
const { state, retentionIsGivenUp } = runtime.status();
// Those that were let in cannot end.
const closed = await runtime.close({ deadlineMs: 1000 }).catch((error: Error & { code: string }) => error.code);
// The store, which meets the same limit, may have said so first.
const disk = said.find((line) => line.startsWith('the disk is full'));
const short = said.find((line) => line.startsWith('the disk is short'));
process.stdout.write(JSON.stringify({ acknowledged, refused, state, retentionIsGivenUp, closed, said: disk, short }));
