// The dialogs that run through here (RFC 3261 §12): which call each belongs to, and where each side is. An in-dialog request
// goes only to the other side of a dialog in this table.
import { loopbackAddress, parseNameAddress, splitList } from '../sip/fields.ts';
import type { Address, Envelope, ReceivedMessage, ReceivedRequest, ReceivedResponse } from '../sip/message.ts';
import { headerValue } from '../sip/message.ts';
import { isOwnUri } from './forward.ts';

export interface Side {
  readonly tag: string;
  /** Where its messages came from or were sent to. */
  readonly address: Address;
  /** Its Contact. */
  readonly target: string;
}

export interface Dialog {
  readonly key: string;
  readonly callId: string;
  readonly caller: Side;
  readonly callee: Side;
  /** `performance.now()` of the 2xx; undefined while it rings. */
  answeredAt: number | undefined;
}

export function dialogKey({ callId, fromTag, toTag }: Envelope): string {
  return fromTag < toTag ? `${callId}|${fromTag}|${toTag}` : `${callId}|${toTag}|${fromTag}`;
}

export function makeDialog(
  callId: string,
  invite: ReceivedRequest,
  callerAddress: Address,
  response: ReceivedResponse,
  calleeAddress: Address,
): Dialog {
  return {
    key: dialogKey(response.envelope),
    callId,
    caller: { tag: invite.envelope.fromTag, address: callerAddress, target: contact(invite) },
    callee: { tag: response.envelope.toTag, address: calleeAddress, target: contact(response) },
    answeredAt: undefined,
  };
}

function contact(message: ReceivedMessage): string {
  try {
    return parseNameAddress(splitList(headerValue(message, 'contact') ?? '')[0]!).uri;
  } catch {
    return '';
  }
}

export interface NextHop {
  readonly uri: string;
  readonly address: Address;
}

/**
 * Where an in-dialog request goes next: to the other side's Contact, or, if its Route has more hops or its Contact is not on
 * loopback, to where that side was met. Never to an address that the request alone names. A client that ignores Record-Route
 * writes our own address as the target; the dialog knows better.
 */
export function nextHop(request: ReceivedRequest, dialog: Dialog, self: Address): NextHop {
  const side = request.envelope.fromTag === dialog.caller.tag ? dialog.callee : dialog.caller;
  const uri = isOwnUri(request.uri, self) && side.target !== '' ? side.target : request.uri;
  const routes = request.headers.filter(({ key }) => key === 'route').map(({ value }) => parseNameAddress(value).uri);
  const hasMoreHops = routes.some((route, index) => index > 0 || !isOwnUri(route, self));
  return { uri, address: (hasMoreHops ? undefined : loopbackAddress(side.target)) ?? side.address };
}
