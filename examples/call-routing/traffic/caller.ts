// The calling side of the demo. Each call is one function that reads like the call flow it makes.
import { Buffer } from 'node:buffer';
import { Endpoint } from '../sip/endpoint.ts';
import { parseNameAddress } from '../sip/fields.ts';
import type { Address, ReceivedResponse, SipRequest } from '../sip/message.ts';
import { headerValue, makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Timers } from '../sip/timers.ts';
import { inDialogRequest } from './in-dialog.ts';
import type { CallPlan } from './plan.ts';

/** What the caller saw of its call. */
export interface CallRecord {
  readonly callId: string;
  readonly plan: CallPlan;
  /** The INVITE's final status; 0 if none came. */
  readonly status: number;
  /** The call was answered, and its BYE too. */
  readonly completed: boolean;
}

// An INVITE and a BYE that both go unanswered until their transactions give up (RFC 3261: 32 s each).
const callBoundMs = 64_000;

const sessionDescription = [
  'v=0',
  'o=caller 1 1 IN IP4 127.0.0.1',
  's=-',
  'c=IN IP4 127.0.0.1',
  't=0 0',
  'm=audio 6000 RTP/AVP 0',
  'a=rtpmap:0 PCMU/8000',
  '',
].join('\r\n');

export class Caller {
  readonly #router: Address;
  readonly #hungUp = new Map<string, () => void>();
  readonly #abandon: Set<() => void> = new Set();
  #endpoint!: Endpoint;

  private constructor(router: Address) {
    this.#router = router;
  }

  static async start(router: Address, timers: Timers): Promise<Caller> {
    const caller = new Caller(router);
    const options = { timers, transactionsLimit: 65_536 };
    caller.#endpoint = await Endpoint.start({ host: '127.0.0.1', port: 0 }, options, {
      admit: () => {
        return { kind: 'take', source: '', isInDialog: true, begin: (transaction) => caller.#receive(transaction) };
      },
      cancelled() {},
      acknowledgement() {},
    });
    return caller;
  }

  /** Calls in progress end with what they have seen so far. */
  async stop(): Promise<void> {
    for (const abandon of this.#abandon) abandon();
    await this.#endpoint.stop();
  }

  async place(plan: CallPlan): Promise<CallRecord> {
    const invite = this.#invite(plan);
    const callId = headerValue(invite, 'call-id')!;
    const whenHungUp = new Promise<boolean>((resolve) => this.#hungUp.set(callId, () => resolve(true)));
    const abandoned = Promise.withResolvers<undefined>();
    const abandon = (): void => abandoned.resolve(undefined);
    this.#abandon.add(abandon);
    // The side that should have hung up may have given up: the other does not wait for that without end.
    const bound = setTimeout(abandon, callBoundMs + plan.holdMs);
    try {
      const answer = await Promise.race([this.#send(invite, plan.kind === 'cancelled'), abandoned.promise]);
      if (!answer || answer.status >= 300) return { callId, plan, status: answer?.status ?? 0, completed: false };
      const ended = plan.kind === 'callee hangs up' ? whenHungUp : this.#holdAndHangUp(answer, plan.holdMs);
      const completed = (await Promise.race([ended, abandoned.promise])) ?? false;
      return { callId, plan, status: answer.status, completed };
    } finally {
      clearTimeout(bound);
      this.#abandon.delete(abandon);
      this.#hungUp.delete(callId);
    }
  }

  /** Resolves with the final answer, undefined if there is none. */
  #send(invite: SipRequest, cancelsWhenRinging: boolean): Promise<ReceivedResponse | undefined> {
    const endpoint = this.#endpoint;
    const branch = parseNameAddress(headerValue(invite, 'via')!).parameters.get('branch')!;
    return new Promise((resolve) => {
      let isCancelled = false;
      const transaction = endpoint.request(invite, branch, this.#router, {
        source: '',
        timeout: () => resolve(undefined),
        response: (response) => {
          const { status } = response;
          if (transaction && status === 180 && cancelsWhenRinging && !isCancelled) {
            isCancelled = true;
            endpoint.cancel(transaction, branch, this.#router);
          } else if (status >= 200) {
            if (status < 300) this.#acknowledge(response);
            resolve(response);
          }
        },
      });
      if (!transaction) resolve(undefined);
    });
  }

  /** Every 2xx, also a repeated one, gets an ACK end to end. */
  #acknowledge(answer: ReceivedResponse): void {
    this.#endpoint.send(
      this.#inDialog('ACK', answer, answer.envelope.sequence, this.#endpoint.names.nextBranch()),
      this.#router,
    );
  }

  #holdAndHangUp(answer: ReceivedResponse, holdMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      setTimeout(() => {
        const branch = this.#endpoint.names.nextBranch();
        const bye = this.#inDialog('BYE', answer, answer.envelope.sequence + 1, branch);
        const sent = this.#endpoint.request(bye, branch, this.#router, {
          source: '',
          response: ({ status }) => status >= 200 && resolve(status === 200),
          timeout: () => resolve(false),
        });
        if (!sent) resolve(false);
      }, holdMs);
    });
  }

  #receive(transaction: ServerTransaction): void {
    const { method, envelope } = transaction.request;
    const hungUp = method === 'BYE' ? this.#hungUp.get(envelope.callId) : undefined;
    transaction.respondWith(hungUp ? 200 : 481, this.#endpoint.names.nextTag());
    hungUp?.();
  }

  #invite({ caller, called }: CallPlan): SipRequest {
    const self = `${this.#endpoint.address.host}:${this.#endpoint.address.port}`;
    const router = `${this.#router.host}:${this.#router.port}`;
    const headers = [
      makeHeader('Via', `SIP/2.0/UDP ${self};branch=${this.#endpoint.names.nextBranch()};rport`),
      makeHeader('From', `<sip:${caller}@${self}>;tag=${this.#endpoint.names.nextTag()}`),
      makeHeader('To', `<sip:${called}@${router}>`),
      makeHeader('Call-ID', this.#endpoint.names.nextTag()),
      makeHeader('CSeq', '1 INVITE'),
      makeHeader('Contact', `<sip:${caller}@${self}>`),
      makeHeader('Max-Forwards', '70'),
      makeHeader('Content-Type', 'application/sdp'),
    ];
    const uri = `sip:${called}@${router}`;
    return { kind: 'request', method: 'INVITE', uri, headers, body: Buffer.from(sessionDescription, 'latin1') };
  }

  #inDialog(method: 'ACK' | 'BYE', answer: ReceivedResponse, sequence: number, branch: string): SipRequest {
    const routes = answer.headers.filter(({ key }) => key === 'record-route').map(({ value }) => value);
    return inDialogRequest(method, {
      self: this.#endpoint.address,
      branch,
      sequence,
      callId: answer.envelope.callId,
      from: headerValue(answer, 'from')!,
      to: headerValue(answer, 'to')!,
      target: parseNameAddress(headerValue(answer, 'contact')!).uri,
      routes: routes.reverse(),
    });
  }
}
