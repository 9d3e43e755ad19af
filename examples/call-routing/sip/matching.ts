// What belongs to which transaction (RFC 3261 §17.1.3, §17.2.3). More is compared than the branch: where the message came from
// and whose call it says it is of, so that a stranger who knows or guesses a branch changes nothing.

import { parseNameAddress, parseSequence } from './fields.ts';
import { detach } from './kept.ts';
import type { Address, Envelope, ReceivedResponse, SipRequest } from './message.ts';
import { headerValue } from './message.ts';

function isSameAddress(one: Address, other: Address): boolean {
  return one.port === other.port && one.host === other.host;
}

export function addressText({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** No header value holds a newline, so no two keys are one. The source is part of it: a CANCEL or an ACK from elsewhere finds nothing. */
export function serverKey({ via, callId, fromTag, sequence }: Envelope, from: Address, method: string): string {
  const sentBy = `${via.host}:${via.port ?? 5060}`;
  return [addressText(from), via.branch, sentBy, callId, fromTag, sequence, method].join('\n');
}

export function clientKey(branch: string, method: string): string {
  return `${branch}|${method}`;
}

/** What an answer to a request must repeat; made once, when the request leaves. */
export interface Expected {
  readonly to: Address;
  readonly callId: string;
  readonly fromTag: string;
  /** Empty outside a dialog: then the answer brings it. */
  readonly toTag: string;
  readonly sequence: number;
}

export function expectedAnswer(request: SipRequest, to: Address): Expected {
  const [callId, fromTag, toTag] = detach([
    headerValue(request, 'call-id')!,
    tagOf(headerValue(request, 'from')!),
    tagOf(headerValue(request, 'to')!),
  ]);
  return {
    to,
    callId,
    fromTag,
    toTag,
    sequence: parseSequence(headerValue(request, 'cseq')!).sequence,
  };
}

export function isExpected({ envelope }: ReceivedResponse, from: Address, expected: Expected): boolean {
  return (
    isSameAddress(from, expected.to) &&
    envelope.callId === expected.callId &&
    envelope.fromTag === expected.fromTag &&
    envelope.sequence === expected.sequence &&
    (expected.toTag === '' || envelope.toTag === expected.toTag) &&
    // With one tag for both sides nothing would say who sends.
    envelope.toTag !== envelope.fromTag
  );
}

function tagOf(nameAddress: string): string {
  return parseNameAddress(nameAddress).parameters.get('tag') ?? '';
}
