// What a SIP message is here (RFC 3261 §7). Header order and text are kept as they came, because a proxy passes on what it
// does not understand. Text is latin1 throughout, so every byte survives a pass through the router.

/** One header field. `key` is the lower-case long name (`v` and `Via` are both `via`); `name` is as written. */
export interface SipHeader {
  readonly key: string;
  readonly name: string;
  readonly value: string;
}

interface SipContent {
  /** Without Content-Length, which the serialiser writes. Via, Route and Record-Route hold one value each. */
  readonly headers: readonly SipHeader[];
  readonly body: Buffer;
}

export interface SipRequest extends SipContent {
  readonly kind: 'request';
  readonly method: string;
  readonly uri: string;
}

export interface SipResponse extends SipContent {
  readonly kind: 'response';
  readonly status: number;
  readonly reason: string;
}

export type SipMessage = SipRequest | SipResponse;

/** The fields that every message must have and that everything here is decided by. */
export interface Envelope {
  readonly via: Via;
  readonly callId: string;
  readonly sequence: number;
  /** Of CSeq: for a response, the method that it answers. */
  readonly method: string;
  readonly fromTag: string;
  /** Empty outside a dialog. */
  readonly toTag: string;
}

export interface Via {
  readonly host: string;
  readonly port: number | undefined;
  readonly branch: string;
  readonly parameters: ReadonlyMap<string, string>;
}

export type ReceivedRequest = SipRequest & { readonly envelope: Envelope };
export type ReceivedResponse = SipResponse & { readonly envelope: Envelope };
export type ReceivedMessage = ReceivedRequest | ReceivedResponse;

/** Where a datagram came from or goes to. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const compactNames: Readonly<Record<string, string>> = {
  c: 'content-type',
  e: 'content-encoding',
  f: 'from',
  i: 'call-id',
  k: 'supported',
  l: 'content-length',
  m: 'contact',
  o: 'event',
  r: 'refer-to',
  s: 'subject',
  t: 'to',
  u: 'allow-events',
  v: 'via',
};

export function makeHeader(name: string, value: string): SipHeader {
  const lower = name.toLowerCase();
  return { key: compactNames[lower] ?? lower, name, value };
}

/** The value of the first header of that key. */
export function headerValue(message: { readonly headers: readonly SipHeader[] }, key: string): string | undefined {
  for (const header of message.headers) if (header.key === key) return header.value;
  return undefined;
}

export const reasons: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  200: 'OK',
  400: 'Bad Request',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  416: 'Unsupported URI Scheme',
  420: 'Bad Extension',
  481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected',
  483: 'Too Many Hops',
  486: 'Busy Here',
  487: 'Request Terminated',
  500: 'Server Internal Error',
  503: 'Service Unavailable',
  505: 'Version Not Supported',
  513: 'Message Too Large',
};
