// How the router itself ends a call: a BYE to each side, as if from the other (RFC 3261 §15). Its CSeq follows that side's last.
import { Buffer } from 'node:buffer';
import type { Endpoint } from '../sip/endpoint.ts';
import { addressText } from '../sip/matching.ts';
import type { SipRequest } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';
import type { LiveCall, Side } from './calls.ts';

/** To both sides of a call that was answered. */
export function tearDown(endpoint: Endpoint, call: LiveCall): void {
  if (!call.answered) return;
  const { caller } = call;
  const { callee } = call.answered;
  sendBye(endpoint, call, caller, callee);
  sendBye(endpoint, call, callee, caller);
}

/** The answer is not waited for: the call is over in the books already. */
export function sendBye(endpoint: Endpoint, call: LiveCall, receiver: Side, asIfFrom: Side): void {
  const branch = endpoint.names.nextBranch();
  const bye = request('BYE', (asIfFrom.sequence ?? 0) + 1, { endpoint, branch, call, receiver, asIfFrom });
  const handlers = { source: call.account, response(): void {}, timeout(): void {} };
  if (!endpoint.request(bye, branch, receiver.address, handlers)) endpoint.send(bye, receiver.address);
}

/** For a called party whose 2xx cannot reach the caller: it gets its ACK and a BYE, instead of waiting for them. */
export function releaseCallee(endpoint: Endpoint, call: LiveCall, callee: Side): void {
  const parts = { endpoint, branch: endpoint.names.nextBranch(), call, receiver: callee, asIfFrom: call.caller };
  endpoint.send(request('ACK', call.caller.inviteSequence ?? 1, parts), callee.address);
  sendBye(endpoint, call, callee, call.caller);
}

interface Parts {
  readonly endpoint: Endpoint;
  readonly branch: string;
  readonly call: LiveCall;
  readonly receiver: Side;
  readonly asIfFrom: Side;
}

function request(method: 'ACK' | 'BYE', sequence: number, parts: Parts): SipRequest {
  const { endpoint, branch, call, receiver, asIfFrom } = parts;
  const headers = [
    makeHeader('Via', `SIP/2.0/UDP ${addressText(endpoint.address)};branch=${branch}`),
    ...receiver.routes.map((route) => makeHeader('Route', route)),
    makeHeader('From', asIfFrom.nameAddress),
    makeHeader('To', receiver.nameAddress),
    makeHeader('Call-ID', call.sipCallId),
    makeHeader('CSeq', `${sequence} ${method}`),
    makeHeader('Max-Forwards', '70'),
  ];
  return { kind: 'request', method, uri: receiver.target, headers, body: Buffer.alloc(0) };
}
