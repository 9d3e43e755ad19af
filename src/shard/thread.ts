// A shard's thread: a long-lived Piscina task. Blocks while there is nothing to do and nothing pending; serves
// its event loop while asynchronous commands are in progress, and now and then for the sake of what `context` holds.

import { clearInterval, pause, performance, setInterval, yieldToLoop } from '../base/clock.ts';
import { describeError, TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { isShortage } from '../base/shortage.ts';
import { confineModules, importUserModule } from '../base/user-module.ts';
import { toWire, type WireError } from '../base/wire-error.ts';
import { exportedAggregate, storedTypeOf } from '../model/aggregate-names.ts';
import { ControlBlock, Signal, StopStage } from '../shared/control-block.ts';
import { AdaptiveSpin } from '../shared/ring/adaptive-spin.ts';
import type { ActorType } from './actor.ts';
import { actorTypeOf } from './actor-type.ts';
import type { ShardData, ShardReport } from './contract.ts';
import { Loader } from './loader.ts';
import { Shard } from './shard.ts';
import { enterShard, violation } from './shard-guard.ts';

const commandsPerTurn = 512; // at a few µs each: the event loop is served every few ms under load
const idleBoundMs = 50; // how late a timer of the context may fire on an idle shard
const sweepEveryMs = 50;
const beatEveryMs = 250; // what waits in the event loop turns no loop of ours
const heldUpBoundMs = 2; // how often to look whether the store has come nearer

type Report = (message: ShardReport) => void;

/** Piscina calls this; it returns when the runtime stops. */
export default async function runShard(data: ShardData): Promise<void> {
  const report: Report = (message) => data.outbox.postMessage(message);
  // A successor that comes as the runtime stops: nothing of the user's is imported that would have to be ended.
  if (new ControlBlock(data.controlBlock).flag(Signal.stopping) >= StopStage.shards) return closePorts(data);
  enterShard(() => report({ type: 'failed', error: startError(undefined), isShort: false }));
  confineModules(data.moduleRoots);
  let shard: Shard;
  let loader: Loader | undefined;
  try {
    const types = await importTypes(data, report);
    const context = await makeContext(data, report);
    loader = await Loader.open(data);
    shard = new Shard(data, types, loader, context);
    report({ type: 'ready' });
  } catch (error) {
    await loader?.close().catch(() => {});
    report({ type: 'failed', error: startError(error), isShort: isShortage(error) });
    return endThread(report);
  }
  const stray = (text: string) => (reason: unknown) =>
    report({ type: 'warning', message: text, details: { err: describeError(reason) } });
  // What a command has left alone, and has failed, is no trouble of the commands beside it.
  process.on('unhandledRejection', guarded(stray('a promise that a command did not await was rejected')));
  process.on('uncaughtException', guarded(stray('a callback of a command (a timer, an abort listener …) has thrown')));
  const beating = setInterval(
    guarded(() => shard.control.beat()),
    beatEveryMs,
  ).unref();
  let cause: string | undefined;
  try {
    await serve(shard, data);
  } catch (error) {
    cause = describeError(error).message;
    shard.abandon();
    report({ type: 'dying', cause });
  }
  clearInterval(beating);
  await loader.close().catch((error: unknown) => stray('its view of log and store did not close')(error));
  if (cause !== undefined) return endThread(report);
  closePorts(data);
}

/**
 * Ends this thread, not the process: what asynchronous commands have begun must not go on beside the next shard, and a module
 * whose import has failed fails for as long as the thread lives. The caller makes sure of it, should a listener to `exit` hold it.
 */
function endThread(report: Report): never {
  report({ type: 'over' });
  process.exit(1);
}

function closePorts(data: ShardData): void {
  data.wakePort.close();
  data.outbox.close();
}

async function serve(shard: Shard, data: ShardData): Promise<void> {
  const { control } = shard;
  const parker = control.parker();
  const spin = new AdaptiveSpin();
  let wake = (): void => {};
  const failed = (error: unknown): void => {
    shard.fail(error);
    wake();
  };
  data.wakePort.on(
    'message',
    guarded(() => wake(), failed),
  );
  const stopping = (): boolean => control.flag(Signal.stopping) >= StopStage.shards;
  const hasWork = (): boolean => shard.hasWork() || stopping();
  let sweptAt = performance.now();
  let ran = 0;
  for (;;) {
    control.beat();
    if (control.flag(Signal.abandoned) !== 0) return shard.abandon();
    if (shard.failure !== undefined) throw shard.failure;
    const count = shard.drain(commandsPerTurn);
    ran += count;
    const now = performance.now();
    if (shard.isHeldUp || now - sweptAt > sweepEveryMs) {
      shard.sweep();
      sweptAt = now;
    }
    if (shard.isHeldUp) {
      // No notifier says that the store has come nearer.
      if (shard.pending > 0) await pause(heldUpBoundMs);
      else parker.block(() => false, heldUpBoundMs);
      continue;
    }
    if (count > 0) {
      if (shard.pending > 0 || ran >= commandsPerTurn) {
        ran = 0;
        await yieldToLoop();
      }
      continue;
    }
    if (stopping() && shard.pending === 0 && !shard.hasWork()) return;
    if (shard.pending > 0) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
        shard.whenSettled(resolve);
      });
      if (parker.arm(hasWork)) await woken;
      else await yieldToLoop();
      parker.rise();
      continue;
    }
    if (spin.look(hasWork, control.flag(Signal.spinMicros))) continue;
    parker.block(hasWork, idleBoundMs);
    if (!shard.hasWork()) await yieldToLoop();
  }
}

async function importTypes(data: ShardData, report: Report): Promise<ActorType[]> {
  const types: ActorType[] = [];
  for (const [index, { name, storedType, module, commands }] of data.types.entries()) {
    report({ type: 'importing', module });
    const exported = await importUserModule(module);
    const found = violation();
    if (found) throw new TrunklineError('RuntimeInsideShard', { module: found });
    const definition = exportedAggregate(exported, name);
    if (!definition) {
      throw new TrunklineError('ModuleMismatch', { module, aggregateType: name, reason: 'does not export it' });
    }
    if (storedTypeOf(definition) !== storedType) {
      const reason = `it is stored as '${storedTypeOf(definition)}' in the shard, and as '${storedType}' where the runtime was made`;
      throw new TrunklineError('ModuleMismatch', { module, aggregateType: name, reason });
    }
    // Commands travel by number. The module may have been replaced since the caller imported it.
    const [here, there] = [Object.keys(definition.commands).join(), commands.join()];
    if (here !== there) {
      const reason = `its commands in the shard are ${here}, and where the runtime was made ${there}`;
      throw new TrunklineError('ModuleMismatch', { module, aggregateType: name, reason });
    }
    types.push(actorTypeOf(definition, index));
  }
  return types;
}

async function makeContext(data: ShardData, report: Report): Promise<object> {
  if (data.context === undefined) return {};
  report({ type: 'importing', module: data.context });
  const made = (await importUserModule(data.context)).default;
  return (typeof made === 'function' ? await made({ shard: data.index, shards: data.shards }) : made) ?? {};
}

/** What went wrong at the start, as the caller will see it. */
function startError(error: unknown): WireError {
  if (violation()) return toWire(new TrunklineError('RuntimeInsideShard', { module: violation()! }), nowhere);
  if (error instanceof TrunklineError) return toWire(error, nowhere);
  const { stack, message } = describeError(error);
  const cause = stack || message;
  return toWire(new TrunklineError('ThreadFailed', { thread: 'shard', cause }), nowhere);
}

const nowhere = { aggregateType: '', command: '' };
