// What is kept of each end of a call, from the message that shows it: its Contact, its CSeq, and the proxies on the way to it.
import { parseNameAddress, parseUri, splitList } from '../sip/fields.ts';
import type { Address, ReceivedMessage, ReceivedRequest, ReceivedResponse } from '../sip/message.ts';
import { headerValue } from '../sip/message.ts';
import type { Side } from './calls.ts';

/** Requests inside a dialog count up from here; what a client leaves no room above is refused. */
export const sequenceLimit: number = 2 ** 31 - 65_536;

export function callerSide(invite: ReceivedRequest, address: Address): Side {
  const { fromTag, sequence } = invite.envelope;
  return {
    tag: fromTag,
    address,
    nameAddress: headerValue(invite, 'from')!,
    routes: recordRoutes(invite),
    target: contact(invite) ?? `sip:${address.host}:${address.port}`,
    sequence,
    inviteSequence: sequence,
  };
}

/** `response` is the first that bears its tag; `passed` Record-Routes in it were there when the INVITE left here. */
export function calleeSide(response: ReceivedResponse, address: Address, uri: string, passed: number): Side {
  const routes = recordRoutes(response);
  return {
    tag: response.envelope.toTag,
    address,
    nameAddress: headerValue(response, 'to')!,
    routes: routes.slice(0, Math.max(0, routes.length - passed)).reverse(),
    target: contact(response) ?? uri,
    sequence: undefined,
    inviteSequence: undefined,
  };
}

/** A re-INVITE or UPDATE that was accepted moves both ends' Contacts (RFC 3261 §12.2); never where their messages go. */
export function refreshTargets(
  request: ReceivedRequest,
  response: ReceivedResponse,
  sender: Side,
  receiver: Side,
): void {
  sender.target = contact(request) ?? sender.target;
  receiver.target = contact(response) ?? receiver.target;
}

function recordRoutes({ headers }: ReceivedMessage): string[] {
  return headers.filter(({ key }) => key === 'record-route').map(({ value }) => value);
}

/** A SIP URI that can stand in a request line, or nothing. */
function contact(message: ReceivedMessage): string | undefined {
  try {
    const { uri } = parseNameAddress(splitList(headerValue(message, 'contact') ?? '')[0]!);
    return parseUri(uri).scheme === 'sip' && /^\S+$/.test(uri) ? uri : undefined;
  } catch {
    return undefined;
  }
}
