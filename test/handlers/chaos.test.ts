// Kill -9 at any instant, and handlers that fail at random: at the end each event has been handled, in the order of its
// aggregate, with an effect that happened once; or it lies in the dead letters. TRUNKLINE_LONG=1: 200 kills, 100,000 events.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

const service = new URL('./chaotic-service.ts', import.meta.url).pathname;
const isLong = process.env.TRUNKLINE_LONG === '1';
const kills = isLong ? 200 : 6;
const events = isLong ? 100_000 : 3_000;

interface Told {
  kind: 'handled' | 'wrong' | 'sent';
  id: string;
  aggregateId: string;
  version: number;
}

async function runAndKill(dataDir: string, seed: number, wanted: number, lines: number): Promise<Told[]> {
  const args = ['--conditions=trunkline-source', service, dataDir, String(seed), String(wanted)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const told: Told[] = [];
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  // A run that has sent everything may have too little left to handle: it is killed all the same.
  let timer: NodeJS.Timeout | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.endsWith('}')) told.push(JSON.parse(line) as Told);
    if (told.at(-1)?.kind === 'sent') timer ??= setTimeout(() => child.kill('SIGKILL'), 2_000);
    if (told.length === lines) child.kill('SIGKILL');
  }
  clearTimeout(timer);
  expect(await exited).toBe('SIGKILL');
  return told;
}

/** In a run an aggregate's events come one after the other; a new run begins no later than where the last one was. */
function checkOrder(run: readonly Told[], reached: Map<string, number>, wrong: string[]): void {
  const inRun = new Map<string, number>();
  for (const { kind, aggregateId, version } of run) {
    if (kind === 'wrong') wrong.push(`${aggregateId}@${version}: its effect was counted otherwise`);
    if (kind !== 'handled') continue;
    const last = inRun.get(aggregateId);
    if (last !== undefined && version !== last + 1) wrong.push(`${aggregateId}@${version} after ${last}`);
    if (version > (reached.get(aggregateId) ?? 0) + 1) wrong.push(`${aggregateId}@${version} skips`);
    inRun.set(aggregateId, version);
    reached.set(aggregateId, Math.max(reached.get(aggregateId) ?? 0, version));
  }
}

test(
  `${kills} kills over ${events} events lose, reorder or repeat nothing`,
  async () => {
    const dataDir = scratchFolder();
    const reached = new Map<string, number>();
    const handled = new Set<string>();
    const wrong: string[] = [];
    for (let run = 1; run <= kills; run++) {
      const told = await runAndKill(dataDir, run, (events / kills) * run, Math.ceil((events / kills) * 0.9));
      checkOrder(told, reached, wrong);
      for (const { kind, id } of told) if (kind === 'handled') handled.add(id);
    }
    // The last run: no failures, and what is parked is left where it is first.
    const runtime = await startRuntime({ dataDir });
    const last: Told[] = [];
    const subscription = runtime.subscribe({
      name: 'chaos',
      async handle({ id, aggregateId, version }, { tx }) {
        const counted = (await tx.get<number>('counts', aggregateId)) ?? 0;
        if (counted !== version - 1) last.push({ kind: 'wrong', id, aggregateId, version });
        tx.put('counts', aggregateId, version);
        last.push({ kind: 'handled', id, aggregateId, version });
      },
    });
    await subscription.caughtUpTo(runtime.status().written);
    const parked = new Set((await runtime.deadLetters.list({ limit: 1e6 })).map(({ event }) => event.id));
    for (const { id } of last) handled.add(id);
    const lost: string[] = [];
    let count = 0;
    for await (const { id } of runtime.events()) {
      count++;
      if (!handled.has(id) && !parked.has(id)) lost.push(id);
    }
    expect(count).toBeGreaterThanOrEqual(events / 2);
    await runtime.deadLetters.requeue({ limit: 1e6 });
    await until(
      () => subscription.status().deadLetters,
      (left) => left === 0,
    );
    checkOrder(last, reached, wrong);
    expect({ wrong, lost }).toEqual({ wrong: [], lost: [] });
    for await (const { id, version } of runtime.store.heads(Counter)) {
      expect([id, reached.get(id), await runtime.effect('counts', id)]).toEqual([id, version, version]);
    }
  },
  isLong ? 3_600_000 : 240_000,
);
