// A telephone for tests: a bare socket, and SIP written by hand, so that nothing of the router's own client side can hide a
// mistake of its server side. It reads with the router's parser, which has tests of its own.
import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { ReceivedMessage, ReceivedRequest, ReceivedResponse } from '../../examples/call-routing/sip/message.ts';
import { parseMessage } from '../../examples/call-routing/sip/parse.ts';

let names = 0;

/** A name that was not there before. */
export function fresh(prefix: string): string {
  names++;
  return `${prefix}-${process.pid}-${names}`;
}

export interface InviteOptions {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly callId?: string;
  readonly branch?: string;
  readonly headers?: readonly string[];
}

export function inviteText({ from, to, port, callId, branch, headers = [] }: InviteOptions): string {
  return [
    `INVITE sip:${to}@127.0.0.1 SIP/2.0`,
    `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK-${branch ?? fresh('branch')}`,
    `From: <sip:${from}@127.0.0.1:${port}>;tag=from`,
    `To: <sip:${to}@127.0.0.1>`,
    `Call-ID: ${callId ?? fresh('call')}`,
    'CSeq: 1 INVITE',
    `Contact: <sip:${from}@127.0.0.1:${port}>`,
    ...headers,
    'Max-Forwards: 70',
    'Content-Length: 5',
    '',
    'v=0\r\n',
  ].join('\r\n');
}

/** Another request of the same call: ACK, BYE and CANCEL; the last two follow from the answer and the INVITE. */
export function laterText(
  method: string,
  invite: string,
  {
    to,
    sequence,
    branch,
    headers = [],
  }: { to: string; sequence: number; branch?: string; headers?: readonly string[] },
): string {
  const line = (name: string): string => new RegExp(`^${name}: .*$`, 'm').exec(invite)![0].trimEnd();
  const via = line('Via').replace(/branch=.*/, `branch=z9hG4bK-${branch ?? fresh('branch')}`);
  const uri = /^INVITE (\S+)/.exec(invite)![1];
  const fixed = [line('From'), `To: ${to}`, line('Call-ID'), `CSeq: ${sequence} ${method}`, 'Max-Forwards: 70'];
  return [`${method} ${uri} SIP/2.0`, via, ...headers, ...fixed, 'Content-Length: 0', '', ''].join('\r\n');
}

export class Phone implements AsyncDisposable {
  readonly received: ReceivedMessage[] = [];
  readonly #socket = createSocket('udp4');
  #waiting: (() => void)[] = [];

  static async open(host = '127.0.0.1'): Promise<Phone> {
    const phone = new Phone();
    phone.#socket.on('message', (datagram) => {
      phone.received.push(parseMessage(datagram));
      for (const wake of phone.#waiting.splice(0)) wake();
    });
    const listening = once(phone.#socket, 'listening');
    phone.#socket.bind(0, host);
    await listening;
    return phone;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(text: string, port: number): void {
    this.#socket.send(Buffer.from(text, 'latin1'), port, '127.0.0.1');
  }

  /** Answer a request that was received, with the called party's tag where there is none yet. */
  answer(request: ReceivedRequest, status: number, port: number, tag = 'to'): void {
    const copied = request.headers.filter(({ key }) =>
      ['via', 'from', 'call-id', 'cseq', 'record-route'].includes(key),
    );
    const to = request.headers.find(({ key }) => key === 'to')!.value;
    const lines = [
      `SIP/2.0 ${status} As you like`,
      ...copied.map(({ name, value }) => `${name}: ${value}`),
      `To: ${request.envelope.toTag === '' ? `${to};tag=${tag}` : to}`,
      `Contact: <sip:callee@127.0.0.1:${this.port}>`,
      'Content-Length: 0',
    ];
    this.send(`${lines.join('\r\n')}\r\n\r\n`, port);
  }

  /** The first response of that status to that method, now or when it comes. */
  response(status: number, method = 'INVITE'): Promise<ReceivedResponse> {
    const isIt = (message: ReceivedMessage): message is ReceivedResponse =>
      message.kind === 'response' && message.status === status && message.envelope.method === method;
    return this.#next(isIt);
  }

  /** The first final response to that method, now or when it comes. */
  final(method: string): Promise<ReceivedResponse> {
    return this.#next((message): message is ReceivedResponse => {
      return message.kind === 'response' && message.status >= 200 && message.envelope.method === method;
    });
  }

  /** The first request of that method, of that call if it is named, now or when it comes. */
  request(method: string, callId?: string): Promise<ReceivedRequest> {
    return this.#next((message): message is ReceivedRequest => isRequest(message, method, callId));
  }

  /** How many different requests of that method came, copies aside. */
  count(method: string, callId?: string): number {
    const requests = this.received.filter((message) => isRequest(message, method, callId));
    return new Set(requests.map(({ envelope }) => envelope.via.branch)).size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }

  async #next<Kind extends ReceivedMessage>(isIt: (message: ReceivedMessage) => message is Kind): Promise<Kind> {
    for (;;) {
      const found = this.received.find(isIt);
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

function isRequest(message: ReceivedMessage, method: string, callId: string | undefined): message is ReceivedRequest {
  const isOfCall = callId === undefined || message.envelope.callId === callId;
  return message.kind === 'request' && message.method === method && isOfCall;
}
