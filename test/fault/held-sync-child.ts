// A runtime whose log's syncs are held (hold-sync.ts): whatever a power loss could still take must have been told to nobody,
// by no level above `written`, to no sink, no store and no handler. Tells what was not so.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createRuntime, type Level } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { argumentFromParent, say } from './parent.ts';
import { readSink } from './sink.ts';

const boundMs = 20_000;
/** What is told too early is told in some milliseconds. */
const graceMs = 300;
const folder = process.env.TRUNKLINE_HOLD_SYNC!;
const { dataDir } = await argumentFromParent<{ dataDir: string }>();
const wrong: string[] = [];

function allow(syncs: number): void {
  writeFileSync(join(folder, 'allowed.new'), String(syncs));
  renameSync(join(folder, 'allowed.new'), join(folder, 'allowed'));
}

async function heldSync(number: number): Promise<boolean> {
  const file = join(folder, 'held');
  for (const until = Date.now() + boundMs; Date.now() < until; await pause(1)) {
    if (existsSync(file) && Number(readFileSync(file, 'utf8')) >= number) return true;
  }
  wrong.push(`sync ${number} of the log never began`);
  return false;
}

mkdirSync(folder, { recursive: true });
const sinks = [{ name: 'file', module: import.meta.resolve('./sink.ts') }];
const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Counter],
  shards: 1,
  flush: { syncIntervalMs: 1 },
  sinks,
});
let handled = 0;
const handler = runtime.subscribe({ name: 'watch', handle: ({ position }) => void (handled = position) });
const counter = runtime.ref(Counter, 'a');
const first = await counter.with({ ack: 'stored' }).add(1);
await handler.caughtUpTo(first);

allow(0);
const inSync = await counter.with({ ack: 'written' }).add(1);
if (await heldSync(1)) {
  const told: Level[] = [];
  const later = (['synced', 'stored'] as const).map(async (ack) => {
    await counter.with({ ack }).add(1);
    told.push(ack);
  });
  await Promise.all(Array.from({ length: 50 }, () => counter.with({ ack: 'written' }).add(1)));
  await pause(graceMs);
  look('while the sync stands still', inSync.position - 1, told);
  allow(1);
  if (await heldSync(2)) {
    await pause(graceMs);
    // What was committed while the first sync ran is not covered by it.
    look('after a sync that began before', inSync.position, told);
  }
  rmSync(join(folder, 'allowed'));
  await Promise.all(later);
}
rmSync(join(folder, 'allowed'), { force: true });
await runtime.close();
say(JSON.stringify({ wrong }));
process.exit(0);

/** Nobody may know of anything beyond `covered`. */
function look(when: string, covered: number, told: readonly Level[]): void {
  const { synced, stored } = runtime.status();
  const known = { synced, stored, 'the sink': readSink(dataDir).checkpoint, 'the handler': handled };
  for (const [who, position] of Object.entries(known)) {
    if (position > covered) wrong.push(`${when}: ${who} is at ${position}, and at most ${covered} is synced`);
  }
  for (const ack of told) wrong.push(`${when}: an acknowledgement '${ack}'`);
}
