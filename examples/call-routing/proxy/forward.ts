// How a message changes on its way through (RFC 3261 §16.6 and §16.7): Via on and off, Max-Forwards down, Record-Route so
// that the dialog stays on this road, our own Route off.
import { loopbackAddress, parseNameAddress } from '../sip/fields.ts';
import type { Address, ReceivedRequest, ReceivedResponse, SipHeader, SipRequest, SipResponse } from '../sip/message.ts';
import { headerValue, makeHeader } from '../sip/message.ts';

/** Hops left, 70 where the request does not say; undefined where it says nonsense. */
export function hopsLeft(request: ReceivedRequest): number | undefined {
  const value = headerValue(request, 'max-forwards');
  if (value === undefined) return 70;
  return /^\d{1,9}$/.test(value) && Number(value) <= 255 ? Number(value) : undefined; // 0 to 255 (RFC 3261 §20.22)
}

export interface Hop {
  readonly self: Address;
  readonly branch: string;
  readonly uri: string;
  readonly recordRoute: boolean;
}

export function forwardRequest(request: ReceivedRequest, { self, branch, uri, recordRoute }: Hop): SipRequest {
  const own = `${self.host}:${self.port}`;
  const headers: SipHeader[] = [makeHeader('Via', `SIP/2.0/UDP ${own};branch=${branch}`)];
  if (recordRoute) headers.push(makeHeader('Record-Route', `<sip:${own};lr>`));
  let isFirstRoute = true;
  for (const header of request.headers) {
    if (header.key === 'max-forwards') continue;
    if (header.key === 'route' && isFirstRoute) {
      isFirstRoute = false;
      if (isOwnUri(parseNameAddress(header.value).uri, self)) continue;
    }
    headers.push(header);
  }
  headers.push(makeHeader('Max-Forwards', String((hopsLeft(request) ?? 1) - 1)));
  return { kind: 'request', method: request.method, uri, headers, body: request.body };
}

/** The response without our Via: the next one is the client's. */
export function forwardResponse(response: ReceivedResponse): SipResponse {
  const { status, reason, headers, body } = response;
  const top = headers.findIndex(({ key }) => key === 'via');
  return { kind: 'response', status, reason, headers: headers.toSpliced(top, 1), body };
}

export function isOwnUri(uri: string, self: Address): boolean {
  const address = loopbackAddress(uri);
  return address?.host === self.host && address.port === self.port;
}
