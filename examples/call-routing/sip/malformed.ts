// The parser's one refusal. Where the request was whole enough to be answered (RFC 3261 §8.2.6: Via, From, To, Call-ID
// and CSeq are copied), it carries what the answer needs.
import type { SipHeader, Via } from './message.ts';

export interface Answerable {
  readonly headers: readonly SipHeader[];
  readonly via: Via;
}

export class MalformedSip extends Error {
  /** 400, 505 for another version of SIP, 513 for too long a message. */
  readonly status: number;
  readonly answerable: Answerable | undefined;

  constructor(reason: string, status = 400, answerable?: Answerable) {
    super(reason);
    this.name = 'MalformedSip';
    this.status = status;
    this.answerable = answerable;
  }
}
