// How a message changes when it is forwarded (RFC 3261 §16.6 and §16.7): Via on and off, Max-Forwards down, Record-Route so that
// the dialog stays on this road. Where it goes is decided here alone: a Route that the sender has written is left out, and an
// answer gets back the Vias that the request came with, whatever those who answered have made of them.
import { parseVia } from '../sip/fields.ts';
import { addressText } from '../sip/matching.ts';
import type { Address, ReceivedRequest, ReceivedResponse, SipHeader, SipRequest, SipResponse } from '../sip/message.ts';
import { headerValue, makeHeader } from '../sip/message.ts';
import type { Names } from '../sip/names.ts';

const mostHops = 70;
/**
 * For us alone; believed by trunks and therefore not to be said by callers (RFC 5806, RFC 7044); or what makes a trunk do
 * something with another call than the one that is paid for, or before others (RFC 3891, RFC 3911, RFC 3515, RFC 4538, RFC 4412).
 */
const notForwarded: ReadonlySet<string> = new Set([
  'proxy-authorization',
  'route',
  'max-forwards',
  'remote-party-id',
  'diversion',
  'history-info',
  'replaces',
  'join',
  'refer-to',
  'target-dialog',
  'resource-priority',
]);

/** P-headers are what operators say to each other (RFC 3325, RFC 7315): identities, charging, networks. */
function isForwarded(key: string): boolean {
  return !notForwarded.has(key) && !key.startsWith('p-');
}

/** Hops left, 70 at most and where the request does not say; undefined where it says nonsense. */
export function hopsLeft(request: ReceivedRequest): number | undefined {
  const value = headerValue(request, 'max-forwards');
  if (value === undefined) return mostHops;
  if (!/^\d{1,9}$/.test(value) || Number(value) > 255) return undefined; // 0 to 255 (RFC 3261 §20.22)
  return Math.min(Number(value), mostHops);
}

/** Whether the request has been here before: a Via of it is ours, by its mark, or by our address if we were restarted. */
export function isLoop({ headers }: ReceivedRequest, self: Address, names: Names): boolean {
  for (const { key, value } of headers) {
    if (key !== 'via') continue;
    const { host, port = 5060, branch } = parseVia(value);
    if (names.isOwnBranch(branch) || (host === self.host && port === self.port)) return true;
  }
  return false;
}

export interface Hop {
  readonly self: Address;
  readonly branch: string;
  readonly uri: string;
  readonly routes?: readonly string[];
  readonly recordRoute: boolean;
}

export function forwardRequest(
  request: ReceivedRequest,
  { self, branch, uri, routes = [], recordRoute }: Hop,
): SipRequest {
  const own = addressText(self);
  const headers: SipHeader[] = [makeHeader('Via', `SIP/2.0/UDP ${own};branch=${branch}`)];
  if (recordRoute) headers.push(makeHeader('Record-Route', `<sip:${own};lr>`));
  for (const route of routes) headers.push(makeHeader('Route', route));
  for (const header of request.headers) if (isForwarded(header.key)) headers.push(header);
  headers.push(makeHeader('Max-Forwards', String((hopsLeft(request) ?? 1) - 1)));
  return { kind: 'request', method: request.method, uri, headers, body: request.body };
}

/** The response as the one who sent the request has to see it. */
export function forwardResponse(response: ReceivedResponse, request: ReceivedRequest): SipResponse {
  const { status, reason, body } = response;
  const headers = request.headers.filter(({ key }) => key === 'via');
  for (const header of response.headers) if (header.key !== 'via') headers.push(header);
  return { kind: 'response', status, reason, headers, body };
}
