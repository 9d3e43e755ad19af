// From SIGKILL to the first command, with a million events in the log.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { answer, onScratchFolder, roundsOf, runAlone, type Suite, sized } from './measure.ts';
import { routed } from './payload.ts';

async function fillAndKill(dataDir: string, events: number): Promise<void> {
  const program = fileURLToPath(new URL('./fill.ts', import.meta.url));
  const child = spawn(process.execPath, [program, dataDir, String(events)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  if (typeof first === 'number') throw new Error(`filling the log ended with ${first}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
}

export const startAfterKill: Suite = async (settings) => {
  const events = sized(settings, { smoke: 1600, quick: 100_000, full: 1_000_000 });
  const rounds: number[] = [];
  let [recovery, frames] = [0, 0];
  for (let round = 0; round < roundsOf(settings, 5); round++) {
    await onScratchFolder(async (dataDir) => {
      await fillAndKill(dataDir, events);
      const start = performance.now();
      const log = { maxBytes: 4 * 2 ** 30, retainBytes: 3 * 2 ** 30 };
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, log });
      await runtime.ref(Probe, 'p0-0').route(routed(1));
      rounds.push((performance.now() - start) / 1000);
      recovery = runtime.recovery.milliseconds;
      frames = runtime.recovery.frames;
    });
  }
  const detail = `${frames} frames checked in ${Math.round(recovery)} ms; the rest is threads, store and tail`;
  return [answer('start-after-kill', rounds, detail)];
};

await runAlone(import.meta.url, startAfterKill);
