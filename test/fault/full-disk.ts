// A full disk: a small one of its own, in memory, with ballast on it. Admission stops with typed errors, reading goes on;
// the ballast goes, and the service is back. Needs root, to mount it.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime, type Runtime, TrunklineError } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { audit, survivesKill, type Told } from './audit.ts';
import type { FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';

const diskBytes = 40 << 20;
const ballastBytes = 20 << 20;
const commandsAtOnce = 64;
const boundMs = 60_000;

export async function fillDisk(run: FaultRun): Promise<void> {
  const disk = join(run.folder(), 'disk');
  mkdirSync(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'none', disk]).status !== 0) {
    run.notes.push('full disk: skipped, mounting one needs root');
    return;
  }
  try {
    await onDisk(run, disk);
  } finally {
    spawnSync('umount', ['-l', disk]);
  }
}

async function onDisk(run: FaultRun, disk: string): Promise<void> {
  const ballast = join(disk, 'ballast');
  writeFileSync(ballast, Buffer.alloc(ballastBytes, 1));
  const dataDir = join(disk, 'data');
  const runtime = await createRuntime({
    logger: false,
    ...{ dataDir, aggregates: [Counter], shards: 1 },
    flush: { whenFull: 'reject', ringBytes: 1 << 21 },
    log: { maxBytes: 64 << 20, retainBytes: 32 << 20 },
  });
  const told: Told[] = [];
  let sent = 0;
  const label = async (text: string): Promise<string> => {
    const [command, id] = [`full-${sent}`, `c${sent++ % 20}`];
    told.push({ kind: 'sent', command, events: 1 });
    const metadata = { commandId: command, commandEvents: 1 };
    try {
      const { version, events } = await runtime.ref(Counter, id).with({ metadata, deadlineMs: 2_000 }).label(text);
      const refs = events.map((event) => ({ id: event.id, version: event.version }));
      const ack = 'written';
      told.push({
        kind: 'acknowledged',
        command,
        ack,
        aggregateType: 'counter',
        aggregateId: id,
        version,
        events: refs,
      });
      return '';
    } catch (error) {
      if (error instanceof TrunklineError) return error.code;
      run.fail(`full disk: rejected by ${error}`);
      return 'untyped';
    }
  };
  const batch = (): Promise<string[]> =>
    Promise.all(Array.from({ length: commandsAtOnce }, () => label('x'.repeat(8000))));
  try {
    const refusals = await repeat(batch, (codes) => codes.includes('LogFull'));
    if (!refusals) run.fail('full disk: nobody was refused');
    run.faults++;
    const written = runtime.status().written;
    if ((await count(runtime, written)) !== told.filter(({ kind }) => kind === 'acknowledged').length) {
      // Commands whose deadline has passed may have been carried out: at least what was acknowledged is there.
      if ((await count(runtime, written)) < told.filter(({ kind }) => kind === 'acknowledged').length) {
        run.fail('full disk: reading does not find what was acknowledged');
      }
    }
    if (runtime.status().state !== 'open') run.fail(`full disk: the runtime is ${runtime.status().state}`);
    rmSync(ballast);
    if (!(await repeat(batch, (codes) => codes.every((code) => code === ''))))
      run.fail('full disk: it does not come back');
    await runtime.reached('stored', { signal: AbortSignal.timeout(boundMs) });
  } finally {
    await runtime.close();
  }
  // Where there is room: what reads it adds a sink, which holds every event once more.
  const roomy = join(run.folder(), 'data');
  cpSync(dataDir, roomy, { recursive: true });
  const { places } = await recoverPlaces(roomy, survivesKill, {
    hasHandler: false,
    log: { maxBytes: 64 << 20, retainBytes: 32 << 20 },
  });
  run.add(await audit(told, places));
}

async function repeat(batch: () => Promise<string[]>, holds: (codes: string[]) => boolean): Promise<boolean> {
  for (const until = Date.now() + boundMs; Date.now() < until; ) {
    const codes = await batch();
    if (holds(codes)) return true;
  }
  return false;
}

async function count(runtime: Runtime, to: number): Promise<number> {
  let events = 0;
  for await (const _ of runtime.events({ to })) events++;
  return events;
}
