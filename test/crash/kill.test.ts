import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { audit, type Told } from './audit.ts';

const service = new URL('./service.ts', import.meta.url).pathname;

/** Run the service until it has said `lines` lines, kill it, and return all that it said. */
async function runAndKill(dataDir: string, seed: number, lines: number): Promise<Told[]> {
  const child = spawn(
    process.execPath,
    ['--conditions=trunkline-source', service, dataDir, String(seed), `run${seed}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const told: Told[] = [];
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  for await (const line of createInterface({ input: child.stdout })) {
    // The last line may have been cut off by the kill: then nobody was told.
    if (line.endsWith('}')) told.push(JSON.parse(line) as Told);
    if (told.length === lines) child.kill('SIGKILL');
  }
  expect(await exited).toBe('SIGKILL');
  return told;
}

test('nothing acknowledged or heard is lost by kill -9, again and again', async () => {
  const dataDir = scratchFolder();
  const told: Told[] = [];
  for (let run = 1; run <= 8; run++) told.push(...(await runAndKill(dataDir, run, 150 * run)));
  const runtime = await startRuntime({ dataDir });
  expect(runtime.recovery).toMatchObject({ lastEnd: 'killed', leftOut: [] });
  // Messages that were under way are delivered: each sender's two, exactly once.
  await until(
    () => runtime.status().messagesUnderWay,
    (count) => count === 0,
  );
  const findings = await audit(runtime, told);
  expect(findings).toMatchObject({ lost: [], gapped: [], duplicated: [], reordered: [] });
  expect(findings.acknowledged).toBeGreaterThan(1000);
  // Whatever was sent has been carried out, exactly once, by however many runs it took.
  const senders: string[] = [];
  const carriedOut = new Map<string, number>();
  for await (const { id, metadata } of runtime.events()) {
    const { causationId } = metadata;
    if (causationId) carriedOut.set(causationId, (carriedOut.get(causationId) ?? 0) + 1);
    else if (metadata.sends) senders.push(id);
  }
  expect(senders.length).toBeGreaterThan(500);
  expect(senders.filter((id) => carriedOut.get(id) !== 2)).toEqual([]);
  expect(carriedOut.size).toBe(senders.length);
});
