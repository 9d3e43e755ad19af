// One received request and the answers to it (RFC 3261 §17.2 with RFC 6026). A request that comes again gets the last answer
// again and reaches nobody; that is why retransmissions change nothing.
import { Buffer } from 'node:buffer';
import type { ReceivedRequest, SipHeader, SipResponse } from './message.ts';
import { makeHeader, reasons } from './message.ts';
import { serialiseMessage } from './serialise.ts';
import type { Timers } from './timers.ts';
import { Retransmission } from './timers.ts';

type State = 'trying' | 'proceeding' | 'accepted' | 'completed' | 'confirmed';

export interface ServerTransactionPort {
  send(datagram: Buffer): void;
  /** The final answer is out: remember it for the usual time, then forget. */
  settled(): void;
}

export class ServerTransaction {
  readonly request: ReceivedRequest;
  readonly isInvite: boolean;
  readonly #port: ServerTransactionPort;
  readonly #timers: Timers;
  #state: State = 'trying';
  #lastAnswer: Buffer | undefined;
  #retransmission: Retransmission | undefined;

  constructor(request: ReceivedRequest, timers: Timers, port: ServerTransactionPort) {
    this.request = request;
    this.isInvite = request.method === 'INVITE';
    this.#timers = timers;
    this.#port = port;
  }

  get hasFinalAnswer(): boolean {
    return this.#state !== 'trying' && this.#state !== 'proceeding';
  }

  /** After a final answer only further 2xx to an INVITE pass; anything else would contradict it. */
  respond(response: SipResponse): void {
    const isSuccess = this.isInvite && response.status >= 200 && response.status < 300;
    if (this.hasFinalAnswer && !(isSuccess && this.#state === 'accepted')) return;
    const datagram = serialiseMessage(response);
    this.#port.send(datagram);
    if (response.status < 200) {
      this.#state = 'proceeding';
      this.#lastAnswer = datagram;
    } else if (isSuccess) {
      // From here on the called party repeats its 2xx, end to end, until the ACK reaches it.
      this.#state = 'accepted';
      this.#lastAnswer = undefined;
      this.#port.settled();
    } else {
      this.#state = 'completed';
      this.#lastAnswer = datagram;
      if (this.isInvite) this.#repeatUntilAcknowledged(datagram);
      this.#port.settled();
    }
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

  #repeatUntilAcknowledged(datagram: Buffer): void {
    const { t1Ms, t2Ms } = this.#timers;
    this.#retransmission = new Retransmission(t1Ms, t2Ms, () => this.#port.send(datagram));
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
