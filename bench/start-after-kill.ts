// From SIGKILL to the first command, with a million events in the log.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { median, onScratchFolder, type Row, runAlone, type Suite } from './measure.ts';
import { routed } from './payload.ts';

async function fillAndKill(dataDir: string, events: number): Promise<void> {
  const program = new URL('./fill.ts', import.meta.url).pathname;
  const args = ['--conditions=trunkline-source', program, dataDir, String(events)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

export const startAfterKill: Suite = async ({ smoke }) => {
  const events = smoke ? 1600 : 1_000_000;
  const times: number[] = [];
  let recovery = 0;
  let frames = 0;
  for (let round = 0; round < (smoke ? 1 : 3); round++) {
    await onScratchFolder(async (dataDir) => {
      await fillAndKill(dataDir, events);
      const start = performance.now();
      const log = { maxBytes: 4 * 2 ** 30, retainBytes: 3 * 2 ** 30 };
      await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1, log });
      await runtime.ref(Probe, 'p0-0').route(routed(1));
      times.push(performance.now() - start);
      recovery = runtime.recovery.milliseconds;
      frames = runtime.recovery.frames;
    });
  }
  const time = median(times);
  const row: Row = {
    measure: 'start after SIGKILL with 1,000,000 events in the log, to the first command',
    asked: '≤ 2 s',
    measured: `${(time / 1000).toFixed(2)} s`,
    holds: time <= 2000,
    detail: `${frames} frames checked in ${Math.round(recovery)} ms; the rest is threads, store and tail; median of ${times.length}`,
  };
  return [row];
};

await runAlone(import.meta.url, startAfterKill);
