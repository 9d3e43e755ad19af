// Three signals of the log that several threads write, each by a rule; and what `full` says about the log's room.
//
// - `hurry`: any thread sets it; only the sync thread clears it, before it notes what the next sync covers.
// - `logInbox`: the host thread sets it after it has posted a message to the log thread; only the log thread clears it,
//   before it empties its port.
// - `openings`: the log thread and the host thread each add 1; readers compare it with what they saw before.

import { TrunklineError } from '../base/errors.ts';
import { blockWhile } from './block-while.ts';
import { type ControlBlock, Signal, signalsOf } from './control-block.ts';

/**
 * `plenty`: for all. `admitted`: users' commands are not let in any more; with `whenFull: 'reject'` those that have
 * begun go on, else they wait. `reserve`: what is left is for internal traffic (messages, answers), which is what frees
 * the log.
 */
export const LogRoom = { plenty: 0, admitted: 1, reserve: 2 } as const;

/** Why nothing new is let in, as the log thread has last said. */
export function logFull(control: ControlBlock, limitBytes: number): TrunklineError {
  const diskIsFull = control.flag(Signal.diskFull) !== 0;
  return new TrunklineError('LogFull', { usedBytes: control.position('usedBytes'), limitBytes, diskIsFull });
}

/**
 * `full` has gone down, or means less: call this after it, then notify the host thread. A count, since the log may be full
 * again before the host thread looks: it must wake what was let in meanwhile all the same.
 */
export function countOpening(control: ControlBlock): void {
  Atomics.add(signalsOf(control), Signal.openings, 1);
}

/**
 * A caller waits for `synced`: end the sync thread's lingering. Any thread; cheap when it is said already. It holds for
 * the next sync, which takes it back: a thread that still waits says it again, and one that does not need not say so.
 */
export function hurrySync(control: ControlBlock): void {
  const words = signalsOf(control);
  if (Atomics.exchange(words, Signal.hurry, 1) === 0) Atomics.notify(words, Signal.hurry);
}

/** Sync thread: wait until a thread hurries, for `boundMs` at most. */
export function lingerUntilHurried(control: ControlBlock, boundMs: number): void {
  blockWhile(signalsOf(control), Signal.hurry, 0, boundMs);
}

/** Sync thread: the next sync covers all waits that began until here. */
export function takeHurry(control: ControlBlock): void {
  Atomics.store(signalsOf(control), Signal.hurry, 0);
}

/** Host thread: the sync thread looks up from its lingering, as after `stopping` has changed. */
export function endLinger(control: ControlBlock): void {
  Atomics.notify(signalsOf(control), Signal.hurry);
}

/** Host thread, once a message to the log thread has been posted. */
export function announceMessage(control: ControlBlock): void {
  Atomics.store(signalsOf(control), Signal.logInbox, 1);
}

/** Log thread, before it reads its port: a message is in its port before it is announced. */
export function takeInbox(control: ControlBlock): void {
  Atomics.store(signalsOf(control), Signal.logInbox, 0);
}
