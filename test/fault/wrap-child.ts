// node wrap-child.ts FOLDER BEGIN COMMANDS MEBIBYTES: one runtime whose rings begin at a count; prints what it finds as JSON.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime, type Level, type NewEvent, type Runtime, type TrunklineError } from '../../src/index.ts';
import { shardOf } from '../../src/shard/contract.ts';
import { beginRingsAt } from '../../src/shared/ring/ring.ts';
import { Counter } from '../runtime/aggregates.ts';
import { Held } from '../runtime/held.ts';

export interface WrapFindings {
  acknowledged: number;
  faults: number;
  lost: string[];
  doubled: string[];
  gapped: string[];
  wrong: string[];
}

const [folder, begin, commands, mebibytes] = process.argv.slice(2) as [string, string, string, string];
const findings: WrapFindings = { acknowledged: 0, faults: 0, lost: [], doubled: [], gapped: [], wrong: [] };
const ids = Array.from({ length: 8 }, (_, i) => `c${i}`);
const levels: readonly Level[] = ['raised', 'written', 'synced', 'stored'];
const largeBytes = 1_500;

/** Per aggregate: how often it was added to for certain, and how often perhaps. */
const certain = new Map<string, number>(ids.map((id) => [id, 0]));
const perhaps = new Map<string, number>(ids.map((id) => [id, 0]));

const count = (counts: Map<string, number>, id: string): unknown => counts.set(id, (counts.get(id) ?? 0) + 1);

beginRingsAt(Number(begin));
const small = { ringBytes: 1 << 16 };
const runtime = await createRuntime({
  dataDir: join(folder, 'data'),
  aggregates: [Counter, Held],
  shards: 2,
  flush: Number(mebibytes) > 0 ? {} : small,
  logger: false,
});
if (Number(commands) > 0) await load(runtime, Number(commands));
if (Number(mebibytes) > 0) await overtake(runtime, Number(mebibytes));
await check(runtime);
await runtime.close();
process.stdout.write(JSON.stringify(findings));

/** One command of some kind; what is told of it is noted. */
async function oneCommand(runtime: Runtime, i: number): Promise<void> {
  const id = ids[i % ids.length]!;
  const ack = levels[i % levels.length]!;
  const counter = runtime.ref(Counter, id).with({ ack });
  try {
    if (i % 11 === 0) await runtime.publisher.publish(entity(i));
    else if (i % 7 === 0) await runtime.ref(Held, id).with({ ack }).add('x'.repeat(largeBytes));
    else if (i % 5 === 0) await counter.askOther(`asked${i}`, 0);
    else {
      const receipt = await counter.add(1);
      if (ack === 'raised') await receipt.reached('written');
      count(certain, id);
    }
    findings.acknowledged++;
  } catch (error) {
    const { code, message } = error as TrunklineError;
    if (code === 'OutcomeUnknown') count(perhaps, id);
    else if (code !== 'NotExecuted') findings.wrong.push(`command ${i}: ${message}`);
  }
}

function entity(i: number): NewEvent {
  return {
    aggregateType: 'entity',
    aggregateId: `e${i}`,
    type: 'Made',
    data: { pad: 'x'.repeat(largeBytes) },
  };
}

async function load(runtime: Runtime, commands: number): Promise<void> {
  for (let i = 0; i < commands; i += 20) {
    if (i === 100) await die(runtime);
    await Promise.all(Array.from({ length: 20 }, (_, k) => oneCommand(runtime, i + k)));
  }
}

/** Both shards die, one after the other, with a command under way. */
async function die(runtime: Runtime): Promise<void> {
  const running = codeOf(runtime.ref(Counter, 'waits').waitForAbort());
  await crashBoth(runtime);
  const code = await running;
  if (code !== 'OutcomeUnknown') findings.wrong.push(`a command that ran when its shard died: ${code}`);
}

async function crashBoth(runtime: Runtime): Promise<void> {
  for (const shard of [0, 1]) {
    const id = Array.from({ length: 64 }, (_, i) => `crash${i}`).find((one) => shardOf('counter', one, 2) === shard)!;
    const code = await codeOf(runtime.ref(Counter, id).crash());
    if (code !== 'OutcomeUnknown') findings.wrong.push(`the command that killed its shard: ${code}`);
    findings.faults++;
  }
}

/** A command waits while more bytes go past it than 32 bits tell apart; then its shard dies. */
async function overtake(runtime: Runtime, mebibytes: number): Promise<void> {
  const never = join(folder, 'never');
  const waits = codeOf(runtime.ref(Held, 'waits').wait(never));
  const large = 'x'.repeat(3 << 20);
  for (let sent = 0; sent < mebibytes; sent += 3) {
    for (const id of ['waits2', 'waits3', 'waits4']) await runtime.ref(Held, id).add(large);
  }
  await crashBoth(runtime);
  const code = await waits;
  if (code !== 'OutcomeUnknown') findings.wrong.push(`the command that waited: ${code}`);
  writeFileSync(never, '');
}

async function check(runtime: Runtime): Promise<void> {
  for (const id of ids) {
    const events = await runtime.store.getByAggregate(Counter, id);
    if (events.some(({ version }, i) => version !== i + 1)) findings.gapped.push(`${id}: ${events.length} events`);
    const added = events.filter(
      ({ type, data }) => type === 'Added' && (data as { amount: number }).amount === 1,
    ).length;
    const least = certain.get(id)!;
    if (added < least) findings.lost.push(`${id}: ${added} events for ${least} acknowledged commands`);
    if (added > least + perhaps.get(id)!)
      findings.doubled.push(`${id}: ${added} events for ${least} acknowledged commands`);
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'done';
  } catch (error) {
    return (error as TrunklineError).code;
  }
}
