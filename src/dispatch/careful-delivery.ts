// The delivery of a message that may be what has ended the process: behind a mark, or not again. See `care.ts`. What has an
// outcome is not executed, and needs none. Host thread.
import { type Care, messagesOwner, spent } from '../wire/care.ts';
import type { Message } from '../wire/message.ts';
import { type DeliveryEnd, type DeliveryParts, deliver } from './delivery.ts';

export async function deliverWithCare(
  care: Care,
  message: Message,
  parts: DeliveryParts,
  stopped: AbortSignal,
  onOutcome: (position: number) => void,
  mayBegin: () => boolean,
): Promise<DeliveryEnd> {
  const { id, position, command, aggregateType, aggregateId } = message;
  const turn = parts.carriedOut.has(id) ? undefined : care.of(messagesOwner, id, position);
  if (turn === undefined) return deliver(message, parts, stopped, onOutcome, mayBegin);
  const what = `message ${id} ('${command}' to ${aggregateType}/${aggregateId})`;
  const failure = spent(turn, what, parts.settings.retry.attempts);
  if (failure !== undefined) {
    turn.end();
    return { kind: 'failed', ...failure };
  }
  await turn.begin(stopped);
  const end = await deliver(message, parts, stopped, onOutcome, mayBegin);
  if (end.kind === 'stopped' || end.kind === 'held') turn.leave();
  else turn.end();
  return end;
}
