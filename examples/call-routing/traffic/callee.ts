// The called side of the demo: one endpoint per trunk, which rings, answers, is busy or rings on, as the called number says.
// It remembers which calls reached it, because that is an effect of an acknowledgement that a kill must not undo.

import { Endpoint } from '../sip/endpoint.ts';
import { parseNameAddress, parseUri } from '../sip/fields.ts';
import type { Address, ReceivedRequest } from '../sip/message.ts';
import { headerValue, makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import { makeResponse } from '../sip/server-transaction.ts';
import type { Timers } from '../sip/timers.ts';
import { Retransmission } from '../sip/timers.ts';
import { inDialogRequest } from './in-dialog.ts';
import { calleeDigits } from './plan.ts';

const ringMs = 10;
const talkMs = 60;

export class Callee {
  /** Call-IDs of the INVITEs that arrived. */
  readonly reached: Set<string> = new Set();
  /** Call-IDs of the calls that it hung up, once its BYE was answered. */
  readonly hungUp: Set<string> = new Set();
  readonly #timers: Timers;
  readonly #answers = new Map<string, Retransmission>();
  #endpoint!: Endpoint;

  private constructor(timers: Timers) {
    this.#timers = timers;
  }

  static async start(timers: Timers): Promise<Callee> {
    const callee = new Callee(timers);
    const options = { timers, transactionsLimit: 65_536 };
    callee.#endpoint = await Endpoint.start({ host: '127.0.0.1', port: 0 }, options, {
      admit: (_, from) => {
        return {
          kind: 'take',
          source: '',
          isInDialog: true,
          begin: (transaction) => callee.#receive(transaction, from),
        };
      },
      cancelled: (invite) => invite.respondWith(487, callee.#endpoint.names.nextTag()),
      acknowledgement: (request) => callee.#stopAnswering(request.envelope.callId),
    });
    return callee;
  }

  get address(): Address {
    return this.#endpoint.address;
  }

  async stop(): Promise<void> {
    for (const answer of this.#answers.values()) answer.stop();
    await this.#endpoint.stop();
  }

  #receive(transaction: ServerTransaction, from: Address): void {
    const { request } = transaction;
    const tag = this.#endpoint.names.nextTag();
    if (request.method === 'INVITE') this.#ring(transaction, tag, from);
    else transaction.respondWith(request.method === 'BYE' ? 200 : 405, tag);
  }

  #ring(invite: ServerTransaction, tag: string, router: Address): void {
    this.reached.add(invite.request.envelope.callId);
    invite.respondWith(180, tag, [this.#contact()]);
    const digit = Number(parseUri(invite.request.uri).user.at(-1));
    if (digit === calleeDigits.ringsOn) return;
    setTimeout(() => {
      if (digit === calleeDigits.isBusy) invite.respondWith(486, tag);
      else this.#answer(invite, tag, digit === calleeDigits.answersAndHangsUp ? router : undefined);
    }, ringMs).unref();
  }

  #answer(invite: ServerTransaction, tag: string, hangUpTo: Address | undefined): void {
    if (invite.hasFinalAnswer) return;
    const answer = makeResponse(invite.request, 200, tag, [this.#contact()]);
    invite.respond(answer);
    const { t1Ms, t2Ms } = this.#timers;
    const repeat = new Retransmission(t1Ms, t2Ms, () => invite.respond(answer));
    this.#answers.set(invite.request.envelope.callId, repeat);
    if (hangUpTo) setTimeout(() => this.#hangUp(invite.request, tag, hangUpTo), talkMs).unref();
  }

  #stopAnswering(callId: string): void {
    this.#answers.get(callId)?.stop();
    this.#answers.delete(callId);
  }

  #hangUp(invite: ReceivedRequest, tag: string, router: Address): void {
    const branch = this.#endpoint.names.nextBranch();
    const bye = inDialogRequest('BYE', {
      self: this.#endpoint.address,
      branch,
      callId: invite.envelope.callId,
      sequence: 1,
      from: `${headerValue(invite, 'to')};tag=${tag}`,
      to: headerValue(invite, 'from')!,
      target: parseNameAddress(headerValue(invite, 'contact')!).uri,
      routes: invite.headers.filter(({ key }) => key === 'record-route').map(({ value }) => value),
    });
    this.#endpoint.request(bye, branch, router, {
      source: '',
      response: ({ status, envelope }) => status === 200 && this.hungUp.add(envelope.callId),
      timeout() {},
    });
  }

  #contact(): ReturnType<typeof makeHeader> {
    return makeHeader('Contact', `<sip:callee@${this.address.host}:${this.address.port}>`);
  }
}
