// What is kept of each end of a call, from the message that shows it: its Contact, its CSeq, and the proxies on the way to it. All
// of it is copied (see `kept.ts`) and has a bound: calls stay for hours.
import { parseNameAddress, parseUri, splitList } from '../sip/fields.ts';
import { detach } from '../sip/kept.ts';
import type { Address, ReceivedMessage, ReceivedRequest, ReceivedResponse } from '../sip/message.ts';
import { headerValue } from '../sip/message.ts';
import type { Side } from './calls.ts';

/** Requests inside a dialog count up from here; what a client leaves no room above is refused. */
export const sequenceLimit: number = 2 ** 31 - 65_536;

/** Call-ID, tag, From or To, Record-Routes and Contact of one side, in bytes. */
const sideLimitBytes = 4_096;
const sideBytes = 1_024;

export function callerSide(invite: ReceivedRequest, address: Address): Side {
  const { fromTag, sequence } = invite.envelope;
  const target = contact(invite) ?? `sip:${address.host}:${address.port}`;
  const copies = detach([fromTag, headerValue(invite, 'from')!, target, ...recordRoutes(invite)]);
  const [tag, nameAddress, ownTarget, ...routes] = copies as [string, string, string, ...string[]];
  return {
    tag,
    address,
    nameAddress,
    routes,
    target: ownTarget,
    sequence,
    inviteSequence: sequence,
    hasHungUp: false,
    earlyBye: undefined,
  };
}

/** Undefined if its dialog would be more than one side may keep. */
export function bytesOfCaller(invite: ReceivedRequest): number | undefined {
  const { fromTag, callId } = invite.envelope;
  const texts = [fromTag, callId, headerValue(invite, 'from')!, contact(invite) ?? '', ...recordRoutes(invite)];
  return limited(texts.reduce((sum, text) => sum + text.length, sideBytes));
}

export function bytesOfSide({ tag, nameAddress, routes, target }: Side): number | undefined {
  return limited(
    routes.reduce((sum, route) => sum + route.length, sideBytes + tag.length + nameAddress.length + target.length),
  );
}

function limited(bytes: number): number | undefined {
  return bytes <= sideBytes + sideLimitBytes ? bytes : undefined;
}

/** `response` is the first that bears its tag; `passed` Record-Routes in it were there when the INVITE left here. */
export function calleeSide(response: ReceivedResponse, address: Address, uri: string, passed: number): Side {
  const all = recordRoutes(response);
  const behind = all.slice(0, Math.max(0, all.length - passed)).reverse();
  const copies = detach([response.envelope.toTag, headerValue(response, 'to')!, contact(response) ?? uri, ...behind]);
  const [tag, nameAddress, target, ...routes] = copies as [string, string, string, ...string[]];
  return {
    tag,
    address,
    nameAddress,
    routes,
    target,
    sequence: undefined,
    inviteSequence: undefined,
    hasHungUp: false,
    earlyBye: undefined,
  };
}

/** A re-INVITE or UPDATE that was accepted moves both ends' Contacts (RFC 3261 §12.2); never where their messages go. */
export function refreshTargets(
  request: ReceivedRequest,
  response: ReceivedResponse,
  sender: Side,
  receiver: Side,
): void {
  sender.target = detach([contact(request) ?? sender.target])[0];
  receiver.target = detach([contact(response) ?? receiver.target])[0];
}

function recordRoutes({ headers }: ReceivedMessage): string[] {
  return headers.filter(({ key }) => key === 'record-route').map(({ value }) => value);
}

const contactLimitBytes = 1_024;

/** A SIP URI that can stand in a request line, or nothing. */
function contact(message: ReceivedMessage): string | undefined {
  try {
    const { uri } = parseNameAddress(splitList(headerValue(message, 'contact') ?? '')[0]!);
    if (uri.length > contactLimitBytes) return undefined;
    return parseUri(uri).scheme === 'sip' && /^\S+$/.test(uri) ? uri : undefined;
  } catch {
    return undefined;
  }
}
