// A reply that is no outcome: the error as the caller gets it.

import type { ErrorDetails } from '../base/error-details.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkedJson } from '../base/json.ts';
import { fromWire, wireError } from '../base/wire-error.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';

/** `deadlineMs`: the deadline that the caller had set, 0 for none. */
export function replyError(ring: RingConsumer, deadlineMs: number): Error {
  const json = ring.bytes.toString('utf8', ring.replyStart, ring.replyStart + ring.replyBytes);
  const wire = checkedJson(json, wireError, 'the reply to a command');
  if (wire.code === 'DeadlineExceeded') {
    const { deadlineMs: named, executed } = wire.details as ErrorDetails['DeadlineExceeded'];
    // The shard knows when the command was due, not how long it had. One that an ask inside it has met is passed on as it is.
    return new TrunklineError('DeadlineExceeded', { deadlineMs: named || deadlineMs, executed });
  }
  return fromWire(wire);
}
