// The client's side of digest authentication, written from RFC 7616 and not from the router's code.
import { hash } from 'node:crypto';
import type { ReceivedResponse } from '../../examples/call-routing/sip/message.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';

export interface Credentials {
  /** The request that they are for. */
  readonly text: string;
  /** The 407. */
  readonly challenge: ReceivedResponse;
  readonly user: string;
  /** H(user:realm:password). */
  readonly secret: string;
  readonly count?: string;
  /** What is signed in place of the Request-URI, and said in place of realm and algorithm. */
  readonly uri?: string;
  readonly realm?: string;
  readonly algorithm?: string;
}

/** The header line. */
export function proxyAuthorization(credentials: Credentials): string {
  const { text, challenge, user, secret, count = '00000001', algorithm = 'SHA-256' } = credentials;
  const [, method, target] = /^(\S+) (\S+)/.exec(text)! as unknown as [string, string, string];
  const asked = headerValue(challenge, 'proxy-authenticate')!;
  const { uri = target, realm = /realm="([^"]*)"/.exec(asked)![1]! } = credentials;
  const nonce = /nonce="([^"]*)"/.exec(asked)![1]!;
  const sign = (words: string): string => hash('sha256', words, 'hex');
  const response = sign(`${secret}:${nonce}:${count}:0a4f:auth:${sign(`${method}:${uri}`)}`);
  const fields = [`username="${user}"`, `realm="${realm}"`, `nonce="${nonce}"`, `uri="${uri}"`];
  const more = [`algorithm=${algorithm}`, 'qop=auth', `nc=${count}`, 'cnonce="0a4f"', `response="${response}"`];
  return `Proxy-Authorization: Digest ${[...fields, ...more].join(', ')}`;
}

/** The request again, with the line in it. */
export function authorized(text: string, line: string): string {
  return text.replace('Max-Forwards', `${line}\r\nMax-Forwards`);
}
