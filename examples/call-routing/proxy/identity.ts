// A call's id, made from what makes an INVITE that INVITE (RFC 3261 §8.2.2.2): so a copy that comes by another way, or after
// a restart of the router, finds the same call and is refused as a merged request instead of being placed twice. The account is
// part of it: no other caller can use up the ids of another's calls.
import { hash } from 'node:crypto';
import type { Envelope } from '../sip/message.ts';

/** A UUID, version 8. */
export function callIdentity(account: string, { callId, fromTag, sequence }: Envelope): string {
  const hex = hash('sha256', `${account}\n${callId}\n${fromTag}\n${sequence}`, 'hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
