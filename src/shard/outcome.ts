// The outcome of a command with an idempotency key: a frame in the command's own group, so that a repetition finds it,
// whatever happens in between.
import { dateMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { givenKey } from '../model/principal-key.ts';
import { isMessageKey, type Outcome, type RepeatedReply } from '../model/receipt.ts';
import type { Group } from '../shared/ring/group.ts';
import { FrameKind } from '../wire/frame.ts';
import { writeNewId } from '../wire/ids.ts';
import { toJson } from '../wire/payload.ts';
import type { Execution } from './execution.ts';

/** 0: it is void. A message's outcome is found for as long as the message can be delivered again. */
export const hasExpired = ({ expiresAt }: Outcome, key: string, keyClock: number): boolean =>
  expiresAt === 0 || (expiresAt <= keyClock && !isMessageKey(key));

/**
 * `keyClock`: see `ControlBlock.keyClock`; `ttlMs`: how long a user's key is remembered, from now on. The outcome of a message is
 * kept by the store until nothing can deliver the message again, however long that takes.
 */
export function keepOutcome(
  group: Group,
  execution: Execution,
  keyClock: number,
  ttlMs: number,
  result: Pick<Outcome, 'value' | 'error'>,
): Outcome {
  const { actor, command, events } = execution;
  const { name, commandNames } = actor.type;
  const expiresAt = isMessageKey(command.key) ? Number.MAX_SAFE_INTEGER : keyClock + ttlMs;
  const outcome: Outcome = { ...result, command: commandNames[command.commandIndex]!, events, expiresAt };
  writeOutcome(group, name, actor.id, command.key, actor.version, outcome);
  return outcome;
}

export function writeOutcome(
  group: Group,
  type: string,
  id: string,
  key: string,
  version: number,
  outcome: Outcome,
): void {
  const now = dateMs();
  const data = toJson(outcome, 'result');
  const offset = group.frame(FrameKind.receipt, 0, now, version, type, id, key, '', data);
  writeNewId(group.frames.bytes, offset + 16, now);
}

/** What a repeated command is answered with. */
export function repeatedReply({ value, error, events }: Outcome): string {
  return JSON.stringify(error ?? ({ value, events } satisfies RepeatedReply));
}

export function keyReused(key: string, command: string, firstCommand: string): TrunklineError {
  return new TrunklineError('IdempotencyKeyReused', { idempotencyKey: givenKey(key), command, firstCommand });
}
