// Entry of a live rehearsal's thread: a leaf. Imports the release to come, and tries one command after the other.
//
// A command that holds this thread, or ends it, ends the rehearsal and nothing else; one that takes all memory may end the process, as
// code in the process may: this is no sandbox.

import { clearTimeout, performance, setInterval, setTimeout, yieldToLoop } from '../../base/clock.ts';
import { describeError, TrunklineError } from '../../base/errors.ts';
import { guarded } from '../../base/guarded.ts';
import { runThread, threadData, threadPort } from '../../base/thread-entry.ts';
import { confineModules, importUserModule } from '../../base/user-module.ts';
import { toWire, type WireError } from '../../base/wire-error.ts';
import type { AnyAggregate } from '../../model/aggregate.ts';
import { exportedAggregate } from '../../model/aggregate-names.ts';
import { actorTypeOf } from '../../shard/actor-type.ts';
import { enterShard, violation } from '../../shard/shard-guard.ts';
import { ControlBlock } from '../../shared/control-block.ts';
import { Heartbeat } from '../../shared/heartbeat.ts';
import { IgnoredPlaces } from '../compare/paths.ts';
import { RehearsedAggregates } from './aggregates.ts';
import { Candidate } from './candidate.ts';
import type { FromThread, HandedOver, Judged, LiveThreadData, RehearsedType, ToThread } from './contract.ts';
import { Judge, type JudgedType } from './judge.ts';
import { PastStates } from './past-states.ts';

/** So many verdicts go in one message at most. */
const judgedMost = 64;
const beatEveryMs = 250;
/** Warnings of what commands have left alone: each is a line of the service's log. */
const straysMost = 10;
const turnMs = 10;
/** Each message wakes the service's main thread. */
const lateMs = 50;

const data = threadData<LiveThreadData>();
const report = (message: FromThread): void => threadPort.postMessage(message);

/** The module that was imported last. */
let importing = '';

function importModule(module: string): Promise<Record<string, unknown>> {
  importing = module;
  report({ type: 'importing', module });
  return importUserModule(module);
}

/** As the caller will see it. */
function startError(error: unknown): WireError {
  const { stack, message } = describeError(error);
  const cause = `${importing} cannot be imported: ${stack || message}`;
  const ours =
    error instanceof TrunklineError ? error : new TrunklineError('ThreadFailed', { thread: 'rehearsal', cause });
  return toWire(ours, { aggregateType: '', command: '' });
}

async function definitionOf({ name, module }: RehearsedType): Promise<AnyAggregate> {
  const exported = await importModule(module);
  refuseRuntime();
  const definition = exportedAggregate(exported, name);
  if (definition !== undefined) return definition;
  throw new TrunklineError('ModuleMismatch', { module, aggregateType: name, reason: 'does not export it' });
}

function refuseRuntime(): void {
  const module = violation();
  if (module !== undefined) throw new TrunklineError('RuntimeInsideShard', { module });
}

async function makeContext(): Promise<object> {
  const { context } = data;
  if (context === undefined) return {};
  const made = (await importModule(context)).default;
  refuseRuntime();
  return (typeof made === 'function' ? await made({ shard: 0, shards: 1 }) : made) ?? {};
}

async function judgeOver(past: PastStates): Promise<Judge> {
  const types: (JudgedType | undefined)[] = [];
  for (const rehearsed of data.types) {
    const definition = rehearsed && (await definitionOf(rehearsed));
    const { commands } = rehearsed ?? { commands: [] };
    types.push(definition && { type: actorTypeOf(definition, types.length), commands });
  }
  const definitions = types.flatMap((judged) => judged?.type.definition ?? []);
  const { groupLimit, allTypes } = data;
  const candidate = new Candidate(definitions, allTypes, { context: await makeContext(), groupLimit });
  const named = data.types.flatMap((one) => one?.names.map((name) => [name, one.storedType] as const) ?? []);
  const aggregates = new RehearsedAggregates(past, new ControlBlock(data.controlBlock));
  return new Judge(types, aggregates, candidate, new IgnoredPlaces(data.ignore, new Map(named)));
}

/** Until the host says stop: heard between two commands, also where many wait. */
async function serve(judge: Judge, heart: Heartbeat): Promise<void> {
  const waiting: HandedOver[] = [];
  let isStopping = false;
  let wake = (): void => {};
  threadPort.on(
    'message',
    guarded((message: ToThread) => {
      if (message.type === 'stop') isStopping = true;
      else waiting.push(...message.commands);
      wake();
    }),
  );
  let judged: Judged[] = [];
  let late: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(late);
    late = undefined;
    if (judged.length > 0) report({ type: 'judged', judged, unusedIgnore: judge.unusedIgnore });
    judged = [];
  };
  const flushLate = guarded(flush);
  let turnEndsAt = performance.now() + turnMs;
  while (!isStopping) {
    const command = waiting.shift();
    if (command === undefined) {
      if (judged.length > 0) late ??= setTimeout(flushLate, lateMs);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    } else {
      const verdict = await judge.judge(command); // what was judged before may have been reported meanwhile
      judged.push(verdict);
      heart.beat();
      if (judged.length >= judgedMost) flush();
      if (performance.now() < turnEndsAt) continue;
      // Commands that await nothing would keep the event loop from its turn for as long as there are any.
      await yieldToLoop();
    }
    turnEndsAt = performance.now() + turnMs;
  }
  flush();
}

async function main(): Promise<void> {
  enterShard(() => {});
  confineModules(data.moduleRoots);
  let strays = 0;
  const stray = (message: string) => (reason: unknown) => {
    if (++strays > straysMost) return;
    const last = strays === straysMost ? { further: 'are not reported' } : {};
    report({ type: 'warning', message, details: { err: describeError(reason), ...last } });
  };
  process.on('unhandledRejection', guarded(stray('a promise that a rehearsed command did not await was rejected')));
  process.on('uncaughtException', guarded(stray('a callback of a rehearsed command has thrown')));
  const heart = new Heartbeat(data.beat);
  setInterval(
    guarded(() => heart.beat()),
    beatEveryMs,
  ).unref();
  const past = await PastStates.open(data);
  try {
    const judge = await judgeOver(past);
    report({ type: 'ready' });
    await serve(judge, heart);
  } catch (error) {
    report({ type: 'failed', error: startError(error) });
  } finally {
    await past.close();
  }
}

runThread(main);
