// One request sent and what comes back (RFC 3261 §17.1 with RFC 6026): repeats the request until something answers, passes
// each answer on once, and acknowledges a refused INVITE itself, hop by hop. Once nothing is to be repeated, only what an ACK or a
// CANCEL is made from is kept of the request.
import { Buffer } from 'node:buffer';
import { bytesOf, bytesOfSent, keepSent } from './kept.ts';
import type { Expected } from './matching.ts';
import { expectedAnswer, isExpected } from './matching.ts';
import type { Address, ReceivedResponse, SipHeader, SipRequest } from './message.ts';
import { headerValue, makeHeader } from './message.ts';
import { serialiseText } from './serialise.ts';
import type { Timers } from './timers.ts';
import { Retransmission } from './timers.ts';

export interface ClientTransactionPort {
  /** One datagram, in latin1. */
  send(text: string): void;
  /** How long the transaction may now stay as it is; then `expire()` is called. */
  keep(lifetimeMs: number): void;
  /** Every provisional answer and every 2xx to an INVITE; of other final answers the first. */
  response(response: ReceivedResponse): void;
  /** No answer in time (Timer B, C or F). */
  timeout(): void;
}

export class ClientTransaction {
  readonly isInvite: boolean;
  readonly #port: ClientTransactionPort;
  readonly #timers: Timers;
  #request: SipRequest;
  /** While it may have to be sent again. */
  #text: string | undefined;
  #retransmission: Retransmission | undefined;
  #provisional = false;
  readonly #expected: Expected;
  #finalStatus: number | undefined;
  #cancelled = false;

  constructor(request: SipRequest, to: Address, timers: Timers, port: ClientTransactionPort) {
    this.#request = request;
    this.#expected = expectedAnswer(request, to);
    this.isInvite = request.method === 'INVITE';
    this.#timers = timers;
    this.#port = port;
    this.#text = serialiseText(request);
  }

  get request(): SipRequest {
    return this.#request;
  }

  get heldBytes(): number {
    return this.#text ? bytesOfSent(this.#text.length) : bytesOf(this.#request);
  }

  get hasProvisional(): boolean {
    return this.#provisional;
  }

  get isFinal(): boolean {
    return this.#finalStatus !== undefined;
  }

  start(): void {
    const { t1Ms, t2Ms, giveUpMs } = this.#timers;
    const send = (): void => {
      if (this.#text) this.#port.send(this.#text);
    };
    this.#port.keep(giveUpMs);
    send();
    this.#retransmission = new Retransmission(t1Ms, this.isInvite ? giveUpMs : t2Ms, send);
  }

  /** Whether this is an answer to this request, from the one who was asked. */
  expects(response: ReceivedResponse, from: Address): boolean {
    return isExpected(response, from, this.#expected);
  }

  receive(response: ReceivedResponse): void {
    const { status } = response;
    const isSuccess = status >= 200 && status < 300;
    if (this.#finalStatus !== undefined) {
      if (this.isInvite && isSuccess && this.#finalStatus < 300) this.#port.response(response);
      if (this.isInvite && status >= 300 && this.#finalStatus >= 300) this.#acknowledge(response);
      return;
    }
    if (status < 200) {
      if (this.isInvite) {
        this.#repeatNoMore();
        // Timer C runs from the first: who repeats it cannot ring without end.
        if (!this.#cancelled && !this.#provisional) this.#port.keep(this.#timers.ringingMs);
      }
      this.#provisional = true;
      this.#port.response(response);
      return;
    }
    this.#finalStatus = status;
    this.#repeatNoMore();
    this.#port.keep(this.#timers.giveUpMs);
    if (this.isInvite && !isSuccess) this.#acknowledge(response);
    this.#port.response(response);
  }

  /** A CANCEL is to be sent for this INVITE: what has not ended soon after is given up (§9.1). False if one was sent already. */
  cancelled(): boolean {
    if (this.#cancelled) return false;
    this.#cancelled = true;
    if (!this.isFinal) this.#port.keep(this.#timers.giveUpMs);
    return true;
  }

  expire(): void {
    this.stop();
    if (this.isFinal) return;
    this.#finalStatus = 408;
    this.#port.timeout();
  }

  stop(): void {
    this.#retransmission?.stop();
  }

  #repeatNoMore(): void {
    this.stop();
    if (!this.#text) return;
    this.#text = undefined;
    this.#request = keepSent(this.#request);
  }

  #acknowledge(response: ReceivedResponse): void {
    const to = makeHeader('To', headerValue(response, 'to') ?? '');
    this.#port.send(serialiseText(makeFollowUp(this.request, 'ACK', to)));
  }
}

const emptyBody: Buffer = Buffer.alloc(0);

/** The ACK of a refused INVITE (§17.1.1.3) or its CANCEL (§9.1): same top Via, same target, same CSeq number. */
export function makeFollowUp(invite: SipRequest, method: 'ACK' | 'CANCEL', to?: SipHeader): SipRequest {
  const headers: SipHeader[] = [];
  let viaTaken = false;
  for (const header of invite.headers) {
    if (header.key === 'via') {
      if (!viaTaken) headers.push(header);
      viaTaken = true;
    } else if (header.key === 'to') headers.push(to ?? header);
    else if (header.key === 'cseq') headers.push(makeHeader('CSeq', `${Number.parseInt(header.value, 10)} ${method}`));
    else if (['from', 'call-id', 'route'].includes(header.key)) headers.push(header);
  }
  headers.push(makeHeader('Max-Forwards', '70'));
  return { kind: 'request', method, uri: invite.uri, headers, body: emptyBody };
}
