// What is kept of a message, and how many bytes that is. V8 cuts strings out of a text without copying them: a tag of ten bytes
// that is kept keeps the 16 KiB alive that it was cut from. So what outlives its datagram is copied, and the rest is dropped.
import { Buffer } from 'node:buffer';
import type { ReceivedRequest, SipHeader, SipRequest } from './message.ts';
import { makeHeader } from './message.ts';

const messageBytes = 512;
const headerBytes = 128;
const emptyBody: Buffer = Buffer.alloc(0);
const noParameters: ReadonlyMap<string, string> = new Map();

/** What an answer is made from (RFC 3261 §8.2.6), and the Contact that an accepted re-INVITE or UPDATE moves to. */
const keptOfReceived: ReadonlySet<string> = new Set([
  'via',
  'from',
  'to',
  'call-id',
  'cseq',
  'record-route',
  'contact',
]);
/** What an ACK or a CANCEL is made from (§9.1, §17.1.1.3). */
const keptOfSent: ReadonlySet<string> = new Set(['via', 'from', 'to', 'call-id', 'cseq', 'route']);

/** Copies that keep no other text alive. No text in a SIP header holds a newline. */
export function detach<Texts extends readonly string[]>(texts: readonly [...Texts]): { [Key in keyof Texts]: string } {
  const copies = `${texts.join('\n')}\n`.split('\n');
  copies.pop();
  return copies as { [Key in keyof Texts]: string };
}

/** About as much memory as a message holds, in bytes. */
export function bytesOf({ headers, body }: Pick<SipRequest, 'headers' | 'body'>): number {
  let bytes = messageBytes + body.length;
  for (const { name, value } of headers) bytes += headerBytes + name.length + value.length;
  return bytes;
}

/** What a request that is being sent holds beside the headers and the body that it shares with the one that it was made from. */
export function bytesOfSent(datagramBytes: number): number {
  return messageBytes + 2 * datagramBytes;
}

/** What a request will hold on both sides until it is answered. */
export function bytesWanted(request: SipRequest): number {
  let textBytes = request.body.length;
  for (const { name, value } of request.headers) textBytes += name.length + value.length;
  return bytesOf(request) + bytesOfSent(textBytes);
}

export function keepReceived(request: ReceivedRequest): ReceivedRequest {
  const { envelope } = request;
  const { via } = envelope;
  const [method, uri, host, branch, callId, fromTag, toTag] = detach([
    request.method,
    request.uri,
    via.host,
    via.branch,
    envelope.callId,
    envelope.fromTag,
    envelope.toTag,
  ]);
  return {
    ...{ kind: 'request', method, uri, body: emptyBody },
    headers: keepHeaders(request.headers, keptOfReceived),
    envelope: { ...envelope, method, callId, fromTag, toTag, via: { ...via, host, branch, parameters: noParameters } },
  };
}

/** Of Vias only the top one: the others belong to those who come before. */
export function keepSent({ kind, method, uri, headers }: SipRequest): SipRequest {
  const top = headers.findIndex(({ key }) => key === 'via');
  const own = headers.filter(({ key }, index) => key !== 'via' || index === top);
  const [ownMethod, ownUri] = detach([method, uri]);
  return { kind, method: ownMethod, uri: ownUri, headers: keepHeaders(own, keptOfSent), body: emptyBody };
}

function keepHeaders(headers: readonly SipHeader[], keys: ReadonlySet<string>): SipHeader[] {
  const kept = headers.filter(({ key }) => keys.has(key));
  const texts = detach(kept.flatMap(({ name, value }) => [name, value]));
  return kept.map((_, index) => makeHeader(texts[2 * index]!, texts[2 * index + 1]!));
}
