// Requests inside a dialog, as both ends of a call make them (RFC 3261 §12.2.1.1).
import { Buffer } from 'node:buffer';
import type { Address, SipRequest } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';

export interface InDialog {
  readonly self: Address;
  readonly branch: string;
  readonly callId: string;
  readonly sequence: number;
  readonly from: string;
  readonly to: string;
  /** The other side's Contact. */
  readonly target: string;
  /** In the order in which they are to be passed. */
  readonly routes: readonly string[];
}

export function inDialogRequest(method: 'ACK' | 'BYE', dialog: InDialog): SipRequest {
  const { self, branch, callId, sequence, from, to, target, routes } = dialog;
  const headers = [
    makeHeader('Via', `SIP/2.0/UDP ${self.host}:${self.port};branch=${branch};rport`),
    ...routes.map((route) => makeHeader('Route', route)),
    makeHeader('From', from),
    makeHeader('To', to),
    makeHeader('Call-ID', callId),
    makeHeader('CSeq', `${sequence} ${method}`),
    makeHeader('Max-Forwards', '70'),
  ];
  return { kind: 'request', method, uri: target, headers, body: Buffer.alloc(0) };
}
