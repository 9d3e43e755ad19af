// The outcome of a command with an idempotency key: a frame in the command's own group, so that a repetition finds it,
// whatever happens in between.
import { FrameKind } from '../frame.ts';
import { writeNewId } from '../ids.ts';
import { toJson } from '../payload.ts';
import type { Outcome } from '../receipt.ts';
import type { Group } from '../ring/group.ts';
import { sentKeyPrefix } from './actor.ts';
import type { Execution } from './execution.ts';

// A message is delivered again after a restart until the log knows that it is done: its outcome must outlive the log.
const sentTtlMs = 30 * 86_400_000;

/** `ttlMs`: how long a user's key is remembered. */
export function keepOutcome(
  group: Group,
  execution: Execution,
  ttlMs: number,
  now: number,
  result: Pick<Outcome, 'value' | 'error'>,
): Outcome {
  const { actor, command, events } = execution;
  const { name, commandNames } = actor.type;
  const expiresAt = now + (command.key.startsWith(sentKeyPrefix) ? sentTtlMs : ttlMs);
  const outcome: Outcome = { ...result, command: commandNames[command.commandIndex]!, events, expiresAt };
  const data = toJson(outcome, 'result');
  const offset = group.frame(FrameKind.receipt, 0, now, actor.version, name, actor.id, command.key, '', data);
  writeNewId(group.frames.bytes, offset + 16, now);
  return outcome;
}
