// One INVITE from its arrival on: decided, forwarded, and answered, refused, cancelled or given up. Every step that the caller or the
// callee can see waits for the desk to have written the event behind it.
import type { ClientTransaction } from '../sip/client-transaction.ts';
import { detach } from '../sip/kept.ts';
import type { Address, ReceivedResponse, SipResponse } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Side } from './calls.ts';
import { LiveCall } from './calls.ts';
import type { Decision } from './desk.ts';
import { forwardRequest, forwardResponse } from './forward.ts';
import { callIdentity } from './identity.ts';
import type { ProxyParts } from './proxy.ts';
import { calleeSide, callerSide } from './sides.ts';
import { releaseCallee } from './teardown.ts';

export interface Incoming {
  readonly invite: ServerTransaction;
  readonly from: Address;
  readonly receivedAt: number;
  /** The account that pays, and whose share of the tables this call is in. */
  readonly account: string;
  readonly called: string;
  /** Most calls of the account at once. */
  readonly callsLimit: number;
}

interface Outgoing {
  readonly transaction: ClientTransaction;
  readonly branch: string;
  readonly address: Address;
  readonly uri: string;
}

export class CallAttempt {
  readonly #parts: ProxyParts;
  readonly #incoming: Incoming;
  readonly #call: LiveCall;
  #outgoing: Outgoing | undefined;
  #cancel: 'no' | 'wanted' | 'sent' = 'no';
  #answer: 'none' | 'recording' | 'relayed' | 'lost' = 'none';

  constructor(parts: ProxyParts, incoming: Incoming) {
    this.#parts = parts;
    this.#incoming = incoming;
    const { invite, from, account, callsLimit } = incoming;
    const { envelope } = invite.request;
    const caller = callerSide(invite.request, from);
    this.#call = new LiveCall({
      id: callIdentity(account, envelope),
      sipCallId: detach([envelope.callId])[0],
      account,
      callsLimit,
      caller,
    });
    parts.calls.add(this.#call, parts.timers.callMs);
  }

  async start(): Promise<void> {
    const { invite, account, called } = this.#incoming;
    invite.respondWith(100, '');
    const { id: callId, sipCallId } = this.#call;
    const decision = await this.#record(this.#parts.desk.place({ callId, sipCallId, account, called }));
    if (!decision) return;
    if (decision.kind === 'refuse') this.#refuse(decision.status);
    else if (this.#cancel !== 'no') await this.#fail(487);
    else await this.#forward(decision);
  }

  /** The caller has sent CANCEL. Before a provisional answer there is nothing to cancel yet (RFC 3261 §9.1). */
  cancel(): void {
    if (this.#cancel !== 'no') return;
    this.#cancel = 'wanted';
    this.#cancelWhenPossible();
  }

  async #forward({ trunk, address }: Extract<Decision, { kind: 'route' }>): Promise<void> {
    const { endpoint, forwarded } = this.#parts;
    const { invite, called, receivedAt } = this.#incoming;
    const branch = endpoint.names.nextBranch();
    const uri = `sip:${called}@${address.host}:${address.port}`;
    const request = forwardRequest(invite.request, { self: endpoint.address, branch, uri, recordRoute: true });
    const transaction = endpoint.request(request, branch, address, {
      source: this.#call.account,
      response: (response) => void this.#receive(response),
      timeout: () => {
        // It rings on (Timer C): a CANCEL stops the trunk.
        if (transaction?.hasProvisional && this.#cancel === 'no') endpoint.cancel(transaction, branch, address);
        void this.#fail(this.#cancel === 'no' ? 408 : 487);
      },
    });
    if (!transaction) {
      await this.#fail(503);
      return;
    }
    this.#outgoing = { transaction, branch, address, uri };
    forwarded(trunk, performance.now() - receivedAt);
  }

  async #receive(response: ReceivedResponse): Promise<void> {
    const { status } = response;
    const { invite } = this.#incoming;
    if (status < 200) {
      this.#cancelWhenPossible();
      if (status === 100) return;
      // A provisional answer that opens no dialog says nothing that the caller could use.
      if (this.#answer === 'none' && this.#callee(response)) invite.respond(forwardResponse(response, invite.request));
    } else if (status >= 300) await this.#fail(status, forwardResponse(response, invite.request));
    else await this.#succeed(response);
  }

  /**
   * The first 2xx is the answer; copies of it follow it, and what another branch of a fork answers goes nowhere. After the caller's
   * CANCEL there is no answer: a caller that asks for none may not be there to acknowledge one, or to end what it would cost.
   */
  async #succeed(response: ReceivedResponse): Promise<void> {
    const { calls, endpoint, desk, answered } = this.#parts;
    const { invite } = this.#incoming;
    const callee = this.#callee(response);
    if (!callee) {
      // It looks like another dialog: a call that neither side could end is none.
      if (this.#answer === 'none') await this.#fail(500);
      return;
    }
    if (this.#answer === 'relayed') invite.respond(forwardResponse(response, invite.request));
    if (this.#answer !== 'none') return;
    if (this.#cancel !== 'no') {
      this.#answer = 'lost';
      releaseCallee(endpoint, this.#call, callee);
      await this.#fail(487);
      return;
    }
    this.#answer = 'recording';
    calls.answer(this.#call, callee, performance.now());
    if (!(await this.#record(desk.answered(this.#call.id).then(() => true)))) {
      this.#answer = 'lost';
      releaseCallee(endpoint, this.#call, callee);
      // Else its money would stay held.
      await desk.failed(this.#call.id, 503).catch(this.#parts.failed);
      return;
    }
    this.#answer = 'relayed';
    invite.respond(forwardResponse(response, invite.request));
    answered(this.#call);
  }

  async #fail(status: number, response?: SipResponse): Promise<void> {
    if (!(await this.#record(this.#parts.desk.failed(this.#call.id, status).then(() => true)))) return;
    if (response) this.#incoming.invite.respond(response);
    else this.#refuse(status);
    this.#parts.calls.remove(this.#call);
  }

  #refuse(status: number): void {
    this.#parts.calls.remove(this.#call);
    const headers = status === 503 ? [makeHeader('Retry-After', '1')] : [];
    this.#incoming.invite.respondWith(status, this.#parts.endpoint.names.nextTag(), headers);
  }

  /** What the desk could not record has not happened: the caller gets 503 and may call again. */
  async #record<Result>(recording: Promise<Result>): Promise<Result | undefined> {
    try {
      return await recording;
    } catch (error) {
      this.#parts.failed(error);
      this.#refuse(503);
      return undefined;
    }
  }

  /** Who has answered, known before or new; undefined for what belongs to no dialog of this call. */
  #callee(response: ReceivedResponse): Side | undefined {
    const { toTag } = response.envelope;
    if (toTag === '') return undefined;
    const known = this.#call.callees.get(toTag);
    if (known) return known;
    const { address, uri } = this.#outgoing!;
    const passed = this.#call.caller.routes.length + 1; // ours is one
    const callee = calleeSide(response, address, uri, passed);
    return this.#parts.calls.addCallee(this.#call, callee, response.status >= 200) ? callee : undefined;
  }

  #cancelWhenPossible(): void {
    if (this.#cancel !== 'wanted' || !this.#outgoing) return;
    const { transaction, branch, address } = this.#outgoing;
    if (transaction.isFinal || !transaction.hasProvisional) return;
    this.#cancel = 'sent';
    this.#parts.endpoint.cancel(transaction, branch, address);
  }
}
