// A router on the real runtime with what surrounds it: a trunk that answers, callers known by address and by password, and a tap
// on the wire that reads what they say.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { digestSecret } from '../../examples/call-routing/proxy/digest.ts';
import type { Router } from '../../examples/call-routing/routing/router.ts';
import { startRouter } from '../../examples/call-routing/routing/router.ts';
import type { ReceivedRequest, ReceivedResponse } from '../../examples/call-routing/sip/message.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import { parseMessage } from '../../examples/call-routing/sip/parse.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import { authorized, proxyAuthorization } from '../examples/digest-client.ts';
import { inviteText, laterText, Phone } from '../examples/phone.ts';
import type { Seen } from './sip-grammar.ts';

export const deposits = { ann: '100.00', bob: '100.00', mallory: '1.00' } as const;
const againMs = 500;
const secret = digestSecret('dora', 'calls', 'a long one');

/** One established call, as the caller knows it. */
export interface LiveTalk {
  readonly text: string;
  readonly to: string;
  readonly status: number;
  sequence: number;
}

export class SipWorld implements AsyncDisposable {
  readonly router: Router;
  readonly ann: Phone;
  readonly bob: Phone;
  /** Nobody knows its address; its user has a password, and bob's account pays. */
  readonly dora: Phone;
  readonly trunk: Socket;
  /** What a stranger on the path has read. */
  readonly seen: { [Part in keyof Seen]: string[] } = {
    callIds: [],
    tags: [],
    branches: [],
    uris: [],
    credentials: [],
    texts: [],
  };
  #calls = 0;

  private constructor(router: Router, [ann, bob, dora]: [Phone, Phone, Phone], trunk: Socket) {
    this.router = router;
    this.ann = ann;
    this.bob = bob;
    this.dora = dora;
    this.trunk = trunk;
    trunk.on('message', (datagram, from) => this.#answer(parseMessage(datagram) as ReceivedRequest, from.port));
  }

  static async start(dataDir: string): Promise<SipWorld> {
    const phones = await Promise.all([Phone.open(), Phone.open(), Phone.open()]);
    const [ann, bob] = phones;
    const trunk = createSocket('udp4');
    const listening = once(trunk, 'listening');
    trunk.bind(0, '127.0.0.1');
    await listening;
    const router = await startRouter({
      dataDir,
      listen: { host: '127.0.0.1', port: 0 },
      trunks: { trunk: { host: '127.0.0.1', port: trunk.address().port } },
      timers: { ...makeTimers(50), ringingMs: 2_000 },
      admission: {
        peers: [
          { host: '127.0.0.1', port: ann.port, accounts: ['ann'] },
          { host: '127.0.0.1', port: bob.port, accounts: ['bob'] },
          { host: '127.0.0.67', accounts: ['mallory'] },
        ],
        digest: { realm: 'calls', users: { dora: { account: 'bob', secret } } },
      },
      provision: {
        accounts: Object.entries(deposits).map(([id, deposit]) => ({ id, name: id, deposit, creditLimit: '0.00' })),
        bids: [{ id: 'anywhere', trunk: 'trunk', prefix: '', ratePerMinute: '0.06' }],
      },
    });
    return new SipWorld(router, phones, trunk);
  }

  get port(): number {
    return this.router.address.port;
  }

  /** A call up to its ACK; with a password where the phone's address is not known. */
  async establish(phone: Phone, user?: string): Promise<LiveTalk> {
    this.#calls++;
    let text = this.#invite(phone);
    let answer = await this.#exchange(phone, text, 'INVITE');
    if (user !== undefined) {
      text = this.#invite(phone);
      text = authorized(text, proxyAuthorization({ text, challenge: answer, user, secret }));
      answer = await this.#exchange(phone, text, 'INVITE');
    }
    const to = headerValue(answer, 'to')!;
    phone.send(laterText('ACK', text, { to, sequence: 1 }), this.port);
    return { text, to, sequence: 1, status: answer.status };
  }

  /** Both ways through the router; its status. */
  async ask(phone: Phone, talk: LiveTalk, method: 'INFO' | 'BYE'): Promise<number> {
    talk.sequence++;
    const text = laterText(method, talk.text, { to: talk.to, sequence: talk.sequence });
    return (await this.#exchange(phone, text, method)).status;
  }

  #invite(phone: Phone): string {
    return inviteText({ from: 'x', to: `4412${this.#calls}1`, port: phone.port });
  }

  /** Sent again until there is a final answer, as any client does; the tap reads along. */
  async #exchange(phone: Phone, text: string, method: string): Promise<ReceivedResponse> {
    phone.received.length = 0;
    this.#read(text);
    phone.send(text, this.port);
    const again = setInterval(() => phone.send(text, this.port), againMs);
    try {
      return await phone.final(method);
    } finally {
      clearInterval(again);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.router.stop();
    await Promise.all([this.ann, this.bob, this.dora].map((phone) => phone[Symbol.asyncDispose]()));
    const closed = once(this.trunk, 'close');
    this.trunk.close();
    await closed;
  }

  /** Rings and answers; is busy where the number ends in 3; says 200 to whatever else comes. */
  #answer(request: ReceivedRequest, port: number): void {
    const { method, envelope } = request;
    if (method === 'ACK') return;
    this.#note(request);
    const isBusy = method === 'INVITE' && /^sip:\d*3@/.test(request.uri);
    const statuses = method !== 'INVITE' ? ['200 OK'] : isBusy ? ['486 Busy'] : ['180 Ringing', '200 OK'];
    const copied = request.headers.filter(({ key }) => ['via', 'from', 'call-id', 'cseq'].includes(key));
    const to = headerValue(request, 'to')!;
    for (const status of statuses) {
      const lines = [
        `SIP/2.0 ${status}`,
        ...copied.map(({ name, value }) => `${name}: ${value}`),
        `To: ${envelope.toTag === '' ? `${to};tag=callee` : to}`,
        `Contact: <sip:callee@127.0.0.1:${this.trunk.address().port}>`,
        'Content-Length: 0',
      ];
      const text = `${lines.join('\r\n')}\r\n\r\n`;
      keep(this.seen.texts, text);
      this.trunk.send(text, port, '127.0.0.1');
    }
  }

  #read(text: string): void {
    keep(this.seen.texts, text);
    this.#note(parseMessage(Buffer.from(text, 'latin1')) as ReceivedRequest);
  }

  #note({ envelope, uri, headers }: ReceivedRequest): void {
    keep(this.seen.callIds, envelope.callId);
    for (const tag of [envelope.fromTag, envelope.toTag, 'callee']) if (tag !== '') keep(this.seen.tags, tag);
    keep(this.seen.branches, envelope.via.branch);
    keep(this.seen.uris, uri);
    for (const { key, name, value } of headers) {
      if (key === 'proxy-authorization') keep(this.seen.credentials, `${name}: ${value}`);
    }
  }
}

const kept = 64;

/** The newest few, each once. */
function keep(list: string[], text: string): void {
  if (list.includes(text)) return;
  list.push(text);
  if (list.length > kept) list.shift();
}
