// What a power loss could still take has been told to nobody: the whole runtime, with the log's syncs held.
import { join } from 'node:path';
import { runChild } from './child.ts';
import type { FaultRun } from './family.ts';

const boundMs = 120_000;

export async function holdSyncs(run: FaultRun): Promise<void> {
  const folder = run.folder();
  const { lines, end, timedOut, trouble } = await runChild<{ wrong: string[] }>({
    program: './held-sync-child.ts',
    argument: { dataDir: join(folder, 'data') },
    options: ['--import', new URL('./hold-sync.ts', import.meta.url).href],
    environment: { TRUNKLINE_HOLD_SYNC: join(folder, 'hold') },
    boundMs,
  });
  run.faults++;
  if (timedOut) run.fail('held syncs: it hangs');
  else if (end !== 0 || lines.length !== 1) run.fail(`held syncs: the process ended with ${end} ${trouble}`);
  for (const what of lines[0]?.wrong ?? []) run.fail(`held syncs: ${what}`);
  run.drop(folder);
}
