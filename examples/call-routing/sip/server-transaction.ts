// One received request and the answers to it (RFC 3261 §17.2 with RFC 6026). A request that comes again gets the last answer
// again and reaches no user; that is why retransmissions change nothing. From its first answer on, only what answers are made from
// is kept of the request.
import { Buffer } from 'node:buffer';
import { bytesOf, keepReceived } from './kept.ts';
import type { ReceivedRequest, SipHeader, SipResponse } from './message.ts';
import { makeHeader, reasons } from './message.ts';
import { serialiseText } from './serialise.ts';
import type { Timers } from './timers.ts';
import { Retransmission } from './timers.ts';

type State = 'trying' | 'proceeding' | 'accepted' | 'completed' | 'confirmed';

export interface ServerTransactionPort {
  /** One datagram, in latin1. */
  send(text: string): void;
  /** An answer is out, and `heldBytes` another. */
  answered(): void;
  /** The final answer is out: remember it for the usual time, then forget. */
  settled(): void;
}

export class ServerTransaction {
  readonly isInvite: boolean;
  readonly #port: ServerTransactionPort;
  readonly #timers: Timers;
  #request: ReceivedRequest;
  #isTrimmed = false;
  #state: State = 'trying';
  #lastAnswer: string | undefined;
  #retransmission: Retransmission | undefined;

  constructor(request: ReceivedRequest, timers: Timers, port: ServerTransactionPort) {
    this.#request = request;
    this.isInvite = request.method === 'INVITE';
    this.#timers = timers;
    this.#port = port;
  }

  get request(): ReceivedRequest {
    return this.#request;
  }

  get heldBytes(): number {
    return bytesOf(this.#request) + (this.#lastAnswer?.length ?? 0);
  }

  get hasFinalAnswer(): boolean {
    return this.#state !== 'trying' && this.#state !== 'proceeding';
  }

  /** After a final answer only further 2xx to an INVITE pass; anything else would contradict it. */
  respond(response: SipResponse): void {
    const isSuccess = this.isInvite && response.status >= 200 && response.status < 300;
    if (this.hasFinalAnswer && !(isSuccess && this.#state === 'accepted')) return;
    const text = serialiseText(response);
    this.#port.send(text);
    // After a 100 the request is yet to be passed on.
    if (response.status > 100) this.#trim();
    if (response.status < 200) {
      this.#state = 'proceeding';
      this.#lastAnswer = text;
    } else if (isSuccess) {
      // From here on the called party repeats its 2xx, end to end, until the ACK reaches it.
      this.#state = 'accepted';
      this.#lastAnswer = undefined;
      this.#port.settled();
    } else {
      this.#state = 'completed';
      this.#lastAnswer = text;
      if (this.isInvite) this.#repeatUntilAcknowledged(text);
      this.#port.settled();
    }
    this.#port.answered();
  }

  respondWith(status: number, toTag: string, headers: readonly SipHeader[] = []): void {
    this.respond(makeResponse(this.request, status, toTag, headers));
  }

  /** The same request came again. */
  repeat(): void {
    if (this.#lastAnswer && this.#state !== 'confirmed') this.#port.send(this.#lastAnswer);
  }

  /** An ACK came: true if it was for this transaction, hop by hop; the ACK of a 2xx goes end to end. */
  acknowledge(): boolean {
    if (this.#state !== 'completed' && this.#state !== 'confirmed') return false;
    this.#state = 'confirmed';
    this.stop();
    return true;
  }

  stop(): void {
    this.#retransmission?.stop();
  }

  #trim(): void {
    if (!this.#isTrimmed) this.#request = keepReceived(this.#request);
    this.#isTrimmed = true;
  }

  #repeatUntilAcknowledged(text: string): void {
    const { t1Ms, t2Ms } = this.#timers;
    this.#retransmission = new Retransmission(t1Ms, t2Ms, () => this.#port.send(text));
  }
}

const copied: ReadonlySet<string> = new Set(['via', 'from', 'call-id', 'cseq', 'record-route']);

/** An answer of our own (§8.2.6). `toTag` goes into To unless it has one; 100 has none. */
export function makeResponse(
  request: { readonly headers: readonly SipHeader[] },
  status: number,
  toTag: string,
  headers: readonly SipHeader[] = [],
): SipResponse & { readonly body: Buffer } {
  const answer: SipHeader[] = [];
  for (const header of request.headers) {
    if (header.key === 'to') {
      const afterUri = header.value.slice(header.value.lastIndexOf('>') + 1);
      const needsTag = status > 100 && !/;\s*tag\s*=/i.test(afterUri);
      answer.push(needsTag ? makeHeader('To', `${header.value};tag=${toTag}`) : header);
    } else if (copied.has(header.key) && (header.key !== 'record-route' || (status > 100 && status < 300))) {
      answer.push(header);
    }
  }
  answer.push(...headers);
  return { kind: 'response', status, reason: reasons[status] ?? 'Unknown', headers: answer, body: emptyBody };
}

const emptyBody: Buffer = Buffer.alloc(0);
