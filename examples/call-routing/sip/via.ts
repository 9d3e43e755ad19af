// Note in the top Via where a request came from (RFC 3261 §18.2.1, RFC 3581). Answers go there, and not to the port that the
// Via names: else any sender could have text of its own sent to any port of the host that they write from.
import type { Address, ReceivedRequest } from './message.ts';
import { makeHeader } from './message.ts';

export function stampVia(request: ReceivedRequest, from: Address): ReceivedRequest {
  const { host, parameters } = request.envelope.via;
  const wantsPort = parameters.has('rport');
  if (host === from.host && !wantsPort) return request;
  const top = request.headers.findIndex(({ key }) => key === 'via');
  const value = request.headers[top]!.value.replace(/;\s*(rport|received)(\s*=[^;]*)?(?=;|$)/gi, '');
  const stamped = `${value};received=${from.host}${wantsPort ? `;rport=${from.port}` : ''}`;
  return { ...request, headers: request.headers.with(top, makeHeader('Via', stamped)) };
}
