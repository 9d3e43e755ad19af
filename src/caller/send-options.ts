// The options of one command, checked before anything is sent.
import type { SendOptions } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import { IDEMPOTENCY_KEY_BYTES_LIMIT } from '../frame.ts';
import { levels } from '../receipt.ts';
import { checkId } from './ref.ts';

const deadlineLimitMs = 2 ** 31 - 1; // what a timer can take

export function checkSendOptions(options: SendOptions, hasStream: boolean): void {
  const { ack, deadlineMs, idempotencyKey, signal } = options;
  const invalid = (option: string, value: unknown, reason: string): never => {
    throw new TrunklineError('InvalidOptions', { option, value, reason });
  };
  if (ack !== undefined && !levels.includes(ack)) invalid('ack', ack, `must be one of ${levels.join(', ')}`);
  if (ack === 'published' && !hasStream) invalid('ack', ack, 'needs a stream, and none is configured');
  if (deadlineMs !== undefined && !(deadlineMs > 0 && deadlineMs <= deadlineLimitMs)) {
    invalid('deadlineMs', deadlineMs, `must be more than 0 and at most ${deadlineLimitMs}`);
  }
  if (idempotencyKey !== undefined) checkId('idempotencyKey', idempotencyKey, IDEMPOTENCY_KEY_BYTES_LIMIT);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    invalid('signal', typeof signal, 'must be an AbortSignal');
  if (signal?.aborted) throw new TrunklineError('Aborted', { executed: 'no' }, { cause: signal.reason });
}
