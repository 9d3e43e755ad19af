// The options of one command, checked before anything is sent: their names where they are given, their values here.

import { checkDeadline, checkId, checkSignal, invalid } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { type Fields, fieldsOf } from '../base/known-fields.ts';
import { IDEMPOTENCY_KEY_BYTES_LIMIT } from '../base/name-limits.ts';
import type { SendOptions } from '../model/aggregate.ts';
import { BOUND_KEY_BYTES_LIMIT, boundKey, isBoundKey, PRINCIPAL_BYTES_LIMIT } from '../model/principal-key.ts';
import { checkLevel, isMessageKey } from '../model/receipt.ts';
import { checkMetadata } from '../wire/metadata.ts';

export const sendFields: Fields = fieldsOf<SendOptions>({
  ack: true,
  idempotencyKey: 'any',
  principal: 'any',
  deadlineMs: true,
  signal: true,
  metadata: true,
});

export function checkSendOptions(options: SendOptions, hasStream: boolean): void {
  const { ack, deadlineMs, idempotencyKey, principal, signal, metadata } = options;
  if (ack !== undefined) checkLevel('ack', ack);
  if (ack === 'published' && !hasStream) invalid('ack', ack, 'needs a stream, and none is configured');
  if (deadlineMs !== undefined) checkDeadline('deadlineMs', deadlineMs);
  if (principal !== undefined) checkId('principal', principal, PRINCIPAL_BYTES_LIMIT);
  if (idempotencyKey !== undefined) checkKey(idempotencyKey, principal);
  if (signal !== undefined) checkSignal(signal);
  if (metadata !== undefined) checkMetadata(metadata);
  if (signal?.aborted) throw new TrunklineError('Aborted', { executed: 'no' }, { cause: signal.reason });
}

function checkKey(key: string, principal: string | undefined): void {
  checkId('idempotencyKey', key, principal === undefined ? IDEMPOTENCY_KEY_BYTES_LIMIT : BOUND_KEY_BYTES_LIMIT);
  if (isMessageKey(key)) invalid('idempotencyKey', key, 'begins as those of messages between aggregates do');
  if (isBoundKey(key)) invalid('idempotencyKey', key, 'begins as those that are bound to a principal do');
}

/** The key by which shard, log and store know the command; '' for none. */
export function keyOf({ idempotencyKey, principal }: SendOptions): string {
  if (idempotencyKey === undefined) return '';
  return principal === undefined ? idempotencyKey : boundKey(principal, idempotencyKey);
}
