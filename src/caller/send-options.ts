// The options of one command, checked before anything is sent: their names where they are given, their values here.
import type { SendOptions } from '../aggregate.ts';
import { checkDeadline, checkId, checkLevel, checkSignal, invalid } from '../checks.ts';
import { TrunklineError } from '../errors.ts';
import { IDEMPOTENCY_KEY_BYTES_LIMIT } from '../frame.ts';
import { type Fields, fieldsOf } from '../known-fields.ts';
import { checkMetadata } from '../limits.ts';
import { isMessageKey } from '../receipt.ts';

export const sendFields: Fields = fieldsOf<SendOptions>({
  ack: true,
  idempotencyKey: 'any',
  deadlineMs: true,
  signal: true,
  metadata: true,
});

export function checkSendOptions(options: SendOptions, hasStream: boolean): void {
  const { ack, deadlineMs, idempotencyKey, signal, metadata } = options;
  if (ack !== undefined) checkLevel('ack', ack);
  if (ack === 'published' && !hasStream) invalid('ack', ack, 'needs a stream, and none is configured');
  if (deadlineMs !== undefined) checkDeadline('deadlineMs', deadlineMs);
  if (idempotencyKey !== undefined) checkId('idempotencyKey', idempotencyKey, IDEMPOTENCY_KEY_BYTES_LIMIT);
  if (idempotencyKey !== undefined && isMessageKey(idempotencyKey)) {
    invalid('idempotencyKey', idempotencyKey, 'begins as those of messages between aggregates do');
  }
  if (signal !== undefined) checkSignal(signal);
  if (metadata !== undefined) checkMetadata(metadata);
  if (signal?.aborted) throw new TrunklineError('Aborted', { executed: 'no' }, { cause: signal.reason });
}
