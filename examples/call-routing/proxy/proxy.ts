// A stateful, record-routing SIP proxy (RFC 3261 §16): calls go through CallAttempt, requests inside a dialog to its other
// side, and whatever else a client may send gets the answer that the RFC has for it.

import { BoundedTable } from '../sip/bounded-table.ts';
import type { ClientTransaction } from '../sip/client-transaction.ts';
import { Endpoint } from '../sip/endpoint.ts';
import { parseNameAddress, parseUri } from '../sip/fields.ts';
import { MalformedSip } from '../sip/malformed.ts';
import type { Address, ReceivedRequest, ReceivedResponse, SipHeader } from '../sip/message.ts';
import { headerValue, makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Timers } from '../sip/timers.ts';
import { CallAttempt } from './call-attempt.ts';
import type { RoutingDesk } from './desk.ts';
import type { Dialog } from './dialogs.ts';
import { dialogKey, nextHop } from './dialogs.ts';
import { forwardRequest, forwardResponse, hopsLeft } from './forward.ts';

export interface ProxyOptions {
  readonly listen: Address;
  readonly desk: RoutingDesk;
  readonly timers: Timers;
  /** Most transactions of each kind at once; a transaction stays for 32 s after its end. */
  readonly transactionsLimit: number;
  /** Most calls at once. */
  readonly dialogsLimit: number;
  /** An INVITE has left; `elapsedMs` since its datagram reached JavaScript. */
  readonly forwarded: (trunk: string, elapsedMs: number) => void;
  /** The desk could not do what it was asked. */
  readonly failed: (error: unknown) => void;
}

/** What a call attempt works with. */
export interface ProxyParts extends Pick<ProxyOptions, 'desk' | 'timers' | 'forwarded' | 'failed'> {
  readonly endpoint: Endpoint;
  readonly dialogs: BoundedTable<Dialog>;
}

const allow = makeHeader('Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK');

export class SipProxy {
  readonly #options: ProxyOptions;
  readonly #dialogs: BoundedTable<Dialog>;
  /** For the INVITEs under way: what a CANCEL does. */
  readonly #cancels = new WeakMap<ServerTransaction, () => void>();
  #endpoint!: Endpoint;
  #strayAcknowledgements = 0;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#dialogs = new BoundedTable(options.dialogsLimit, (dialog) => void this.#complete(dialog, 'nobody'));
  }

  static async start(options: ProxyOptions): Promise<SipProxy> {
    const proxy = new SipProxy(options);
    proxy.#endpoint = await Endpoint.start(options.listen, options, {
      request: (transaction, from, receivedAt) => proxy.#receive(transaction, from, receivedAt),
      acknowledgement: (request) => proxy.#acknowledge(request),
    });
    return proxy;
  }

  get address(): Address {
    return this.#endpoint.address;
  }

  get counters(): Readonly<Record<string, number>> {
    const { counters, sendFailures } = this.#endpoint;
    return { ...counters, strayAcknowledgements: this.#strayAcknowledgements, sendFailures };
  }

  async stop(): Promise<void> {
    this.#dialogs.stop();
    await this.#endpoint.stop();
  }

  #receive(transaction: ServerTransaction, from: Address, receivedAt: number): void {
    const { request } = transaction;
    try {
      if (request.method === 'CANCEL') this.#cancel(transaction);
      else if (!this.#mayForward(transaction)) return;
      else if (request.envelope.toTag !== '') this.#forwardInDialog(transaction, receivedAt);
      else if (request.method === 'INVITE') this.#invite(transaction, from, receivedAt);
      else if (request.method === 'OPTIONS') this.#answer(transaction, 200, allow);
      else this.#answer(transaction, 405, allow);
    } catch (error) {
      // A header that only this road reads (Route, From's URI, the Request-URI) may still be malformed.
      if (!(error instanceof MalformedSip)) throw error;
      this.#answer(transaction, 400);
    }
  }

  #mayForward(transaction: ServerTransaction): boolean {
    const hops = hopsLeft(transaction.request);
    const extensions = headerValue(transaction.request, 'proxy-require');
    if (hops === undefined) this.#answer(transaction, 400);
    else if (hops === 0) this.#answer(transaction, 483);
    else if (extensions !== undefined) this.#answer(transaction, 420, makeHeader('Unsupported', extensions));
    else return true;
    return false;
  }

  #invite(invite: ServerTransaction, from: Address, receivedAt: number): void {
    const { scheme, user: called } = parseUri(invite.request.uri);
    const { user: caller } = parseUri(parseNameAddress(headerValue(invite.request, 'from')!).uri);
    if (scheme !== 'sip') {
      this.#answer(invite, 416);
      return;
    }
    if (!this.#dialogs.hasRoomFor(1)) {
      this.#answer(invite, 503, makeHeader('Retry-After', '1'));
      return;
    }
    const parts: ProxyParts = { ...this.#options, endpoint: this.#endpoint, dialogs: this.#dialogs };
    const attempt = new CallAttempt(parts, { invite, from, receivedAt, caller, called });
    this.#cancels.set(invite, () => attempt.cancel());
    void attempt.start();
  }

  #cancel(cancel: ServerTransaction): void {
    const invite = this.#endpoint.findInvite(cancel.request);
    this.#answer(cancel, invite ? 200 : 481);
    if (invite && !invite.hasFinalAnswer) this.#cancels.get(invite)?.();
  }

  #forwardInDialog(transaction: ServerTransaction, receivedAt: number): void {
    const { request } = transaction;
    const endpoint = this.#endpoint;
    const dialog = this.#dialogs.get(dialogKey(request.envelope));
    if (!dialog) {
      this.#answer(transaction, 481);
      return;
    }
    const { uri, address } = nextHop(request, dialog, endpoint.address);
    const branch = endpoint.nextBranch();
    const recordRoute = request.method === 'INVITE';
    const outgoing = forwardRequest(request, { self: endpoint.address, branch, uri, recordRoute });
    const endedBy = request.envelope.fromTag === dialog.caller.tag ? 'caller' : 'callee';
    const relay = async (status: number, answer: () => void): Promise<void> => {
      if (status === 100) return;
      const isOver = request.method === 'BYE' && (status === 408 || status === 481 || (status >= 200 && status < 300));
      if (isOver) await this.#complete(dialog, endedBy, receivedAt);
      answer();
    };
    const client: ClientTransaction = endpoint.request(outgoing, branch, address, {
      response: (response: ReceivedResponse) =>
        void relay(response.status, () => transaction.respond(forwardResponse(response))),
      timeout: () => void relay(408, () => this.#answer(transaction, 408)),
    });
    if (transaction.isInvite) this.#cancels.set(transaction, () => endpoint.cancel(client, branch, address));
  }

  /** Once per dialog, however many BYEs cross each other. */
  async #complete(dialog: Dialog, endedBy: 'caller' | 'callee' | 'nobody', endedAt = performance.now()): Promise<void> {
    const isOpen = this.#dialogs.delete(dialog.key) || endedBy === 'nobody';
    if (!isOpen || dialog.answeredAt === undefined) return;
    const durationMs = Math.max(0, Math.round(endedAt - dialog.answeredAt));
    try {
      await this.#options.desk.completed(dialog.callId, { durationMs, endedBy });
    } catch (error) {
      this.#options.failed(error);
    }
  }

  #acknowledge(request: ReceivedRequest): void {
    const dialog = this.#dialogs.get(dialogKey(request.envelope));
    const hops = hopsLeft(request);
    if (!dialog || !hops) {
      this.#strayAcknowledgements++;
      return;
    }
    try {
      const { uri, address } = nextHop(request, dialog, this.#endpoint.address);
      const hop = { self: this.#endpoint.address, branch: this.#endpoint.nextBranch(), uri, recordRoute: false };
      this.#endpoint.send(forwardRequest(request, hop), address);
    } catch (error) {
      if (!(error instanceof MalformedSip)) throw error;
      this.#strayAcknowledgements++;
    }
  }

  #answer(transaction: ServerTransaction, status: number, ...headers: SipHeader[]): void {
    transaction.respondWith(status, this.#endpoint.nextTag(), headers);
  }
}
