// One INVITE on its way: decided, forwarded, and answered, refused, cancelled or given up. Every step that the caller or the
// callee can see waits for the desk to have written the event behind it.
import type { ClientTransaction } from '../sip/client-transaction.ts';
import type { Address, ReceivedResponse, SipResponse } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Decision } from './desk.ts';
import type { Dialog } from './dialogs.ts';
import { dialogKey, makeDialog } from './dialogs.ts';
import { forwardRequest, forwardResponse } from './forward.ts';
import { callIdentity } from './identity.ts';
import type { ProxyParts } from './proxy.ts';

export interface Incoming {
  readonly invite: ServerTransaction;
  readonly from: Address;
  readonly receivedAt: number;
  readonly caller: string;
  readonly called: string;
}

export class CallAttempt {
  readonly #parts: ProxyParts;
  readonly #incoming: Incoming;
  readonly #callId: string;
  readonly #dialogs: Dialog[] = [];
  #outgoing:
    | { readonly transaction: ClientTransaction; readonly branch: string; readonly address: Address }
    | undefined;
  #cancel: 'no' | 'wanted' | 'sent' = 'no';
  #answer: 'none' | 'recording' | 'relayed' = 'none';

  constructor(parts: ProxyParts, incoming: Incoming) {
    this.#parts = parts;
    this.#incoming = incoming;
    this.#callId = callIdentity(incoming.invite.request.envelope);
  }

  async start(): Promise<void> {
    const { invite, caller, called } = this.#incoming;
    invite.respondWith(100, '');
    const sipCallId = invite.request.envelope.callId;
    const decision = await this.#record(this.#parts.desk.place({ callId: this.#callId, sipCallId, caller, called }));
    if (!decision) return;
    if (decision.kind === 'refuse') this.#refuse(decision.status);
    else if (this.#cancel !== 'no') await this.#fail(487);
    else this.#forward(decision);
  }

  /** The caller has sent CANCEL. Before a provisional answer there is nothing to cancel yet (RFC 3261 §9.1). */
  cancel(): void {
    if (this.#cancel !== 'no') return;
    this.#cancel = 'wanted';
    this.#cancelWhenPossible();
  }

  #forward({ trunk, address }: Extract<Decision, { kind: 'route' }>): void {
    const { endpoint, forwarded } = this.#parts;
    const { invite, called, receivedAt } = this.#incoming;
    const branch = endpoint.nextBranch();
    const uri = `sip:${called}${called === '' ? '' : '@'}${address.host}:${address.port}`;
    const request = forwardRequest(invite.request, { self: endpoint.address, branch, uri, recordRoute: true });
    const transaction = endpoint.request(request, branch, address, {
      response: (response) => void this.#receive(response),
      timeout: () => void this.#fail(this.#cancel === 'no' ? 408 : 487),
    });
    this.#outgoing = { transaction, branch, address };
    forwarded(trunk, performance.now() - receivedAt);
  }

  async #receive(response: ReceivedResponse): Promise<void> {
    const { status, envelope } = response;
    if (status < 200) {
      this.#cancelWhenPossible();
      if (status === 100) return;
      if (envelope.toTag !== '') this.#openDialog(response);
      this.#incoming.invite.respond(forwardResponse(response));
    } else if (status >= 300) await this.#fail(status, forwardResponse(response));
    else if (this.#answer === 'none') await this.#succeed(response);
    else if (this.#answer === 'relayed') this.#incoming.invite.respond(forwardResponse(response));
  }

  async #succeed(response: ReceivedResponse): Promise<void> {
    this.#answer = 'recording';
    const answered = this.#openDialog(response);
    answered.answeredAt = performance.now();
    for (const { key } of this.#dialogs) if (key !== answered.key) this.#parts.dialogs.delete(key);
    if (!(await this.#record(this.#parts.desk.answered(this.#callId).then(() => true)))) return;
    this.#answer = 'relayed';
    this.#incoming.invite.respond(forwardResponse(response));
  }

  async #fail(status: number, response?: SipResponse): Promise<void> {
    for (const { key } of this.#dialogs) this.#parts.dialogs.delete(key);
    if (!(await this.#record(this.#parts.desk.failed(this.#callId, status).then(() => true)))) return;
    if (response) this.#incoming.invite.respond(response);
    else this.#refuse(status);
  }

  #refuse(status: number): void {
    const headers = status === 503 ? [makeHeader('Retry-After', '1')] : [];
    this.#incoming.invite.respondWith(status, this.#parts.endpoint.nextTag(), headers);
  }

  /** What the desk could not record has not happened: the caller is told to come again. */
  async #record<Result>(recording: Promise<Result>): Promise<Result | undefined> {
    try {
      return await recording;
    } catch (error) {
      this.#parts.failed(error);
      this.#refuse(503);
      return undefined;
    }
  }

  #openDialog(response: ReceivedResponse): Dialog {
    const { dialogs, timers } = this.#parts;
    const known = dialogs.get(dialogKey(response.envelope));
    if (known) return known;
    const { invite, from } = this.#incoming;
    const dialog = makeDialog(this.#callId, invite.request, from, response, this.#outgoing!.address);
    dialogs.set(dialog.key, dialog, timers.callMs);
    this.#dialogs.push(dialog);
    return dialog;
  }

  #cancelWhenPossible(): void {
    if (this.#cancel !== 'wanted' || !this.#outgoing) return;
    const { transaction, branch, address } = this.#outgoing;
    if (transaction.isFinal || !transaction.hasProvisional) return;
    this.#cancel = 'sent';
    this.#parts.endpoint.cancel(transaction, branch, address);
  }
}
