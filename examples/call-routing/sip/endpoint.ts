// A SIP endpoint on one socket: datagrams in, new requests and stray ACKs out, everything between them (parsing, refusing,
// absorbing what was sent twice, matching answers) done here. The router, the caller and the callee each have one. Of a request
// that its user refuses nothing is kept: the answer is made from the request alone.
import type { Buffer } from 'node:buffer';
import { BoundedTable } from './bounded-table.ts';
import type { ClientTransactionPort } from './client-transaction.ts';
import { ClientTransaction, makeFollowUp } from './client-transaction.ts';
import type { EndpointCounters, EndpointOptions, EndpointUser, Verdict } from './endpoint-user.ts';
import { MalformedSip } from './malformed.ts';
import { clientKey, serverKey } from './matching.ts';
import type { Address, Envelope, ReceivedMessage, ReceivedRequest, SipHeader, SipRequest } from './message.ts';
import { makeHeader } from './message.ts';
import { Names } from './names.ts';
import { parseMessage } from './parse.ts';
import { Quota } from './quota.ts';
import { serialiseMessage } from './serialise.ts';
import { makeResponse, ServerTransaction } from './server-transaction.ts';
import { SourceRates } from './source-rates.ts';
import type { Timers } from './timers.ts';
import type { UdpSocket } from './udp.ts';
import { openUdp } from './udp.ts';
import { stampVia } from './via.ts';

interface Held {
  readonly transaction: ServerTransaction;
  readonly source: string;
}

const defaultStatelessPerSecond = 1_000;
const retryAfter = makeHeader('Retry-After', '1');

export class Endpoint {
  readonly counters: EndpointCounters = {
    received: 0,
    sent: 0,
    retransmissionsAbsorbed: 0,
    malformedAnswered: 0,
    malformedDropped: 0,
    strayResponses: 0,
    overloadRefused: 0,
    statelessDropped: 0,
    keepAlives: 0,
  };
  readonly names: Names = new Names();
  readonly #options: EndpointOptions;
  readonly #timers: Timers;
  readonly #user: EndpointUser;
  readonly #servers: BoundedTable<Held>;
  readonly #clients: BoundedTable<ClientTransaction>;
  readonly #quota = new Quota();
  readonly #rates: SourceRates;
  #socket!: UdpSocket;

  private constructor(options: EndpointOptions, user: EndpointUser) {
    const { timers, transactionsLimit, statelessPerSecond = defaultStatelessPerSecond } = options;
    this.#options = options;
    this.#timers = timers;
    this.#user = user;
    this.#servers = new BoundedTable(
      transactionsLimit,
      ({ transaction, source }) => {
        transaction.stop();
        this.#quota.release(source);
      },
      2 * timers.t1Ms,
    );
    this.#clients = new BoundedTable(transactionsLimit, (transaction) => transaction.expire(), 2 * timers.t1Ms);
    this.#rates = new SourceRates(statelessPerSecond);
  }

  /** Port 0 takes a free one. */
  static async start(address: Address, options: EndpointOptions, user: EndpointUser): Promise<Endpoint> {
    const endpoint = new Endpoint(options, user);
    endpoint.#socket = await openUdp(address, (datagram, from) => endpoint.#receive(datagram, from, performance.now()));
    return endpoint;
  }

  get address(): Address {
    return this.#socket.address;
  }

  get sendFailures(): number {
    return this.#socket.sendFailures;
  }

  /** Transactions held now, of both kinds. */
  get transactions(): number {
    return this.#servers.size + this.#clients.size;
  }

  /** Send what belongs to no transaction: an ACK on its way end to end. */
  send(message: SipRequest, to: Address): void {
    this.#sendDatagram(serialiseMessage(message), to);
  }

  /**
   * Send a request whose top Via has a branch of `names.nextBranch()`, and repeat it until it is answered. Undefined, and
   * nothing sent, if the table is full.
   */
  request(
    message: SipRequest,
    branch: string,
    to: Address,
    handlers: Pick<ClientTransactionPort, 'response' | 'timeout'>,
  ): ClientTransaction | undefined {
    if (!this.#clients.hasRoomFor(1)) return undefined;
    const key = clientKey(branch, message.method);
    const transaction: ClientTransaction = new ClientTransaction(message, to, this.#timers, {
      ...handlers,
      send: (datagram) => this.#sendDatagram(datagram, to),
      keep: (lifetimeMs) => this.#clients.set(key, transaction, lifetimeMs),
    });
    transaction.start();
    return transaction;
  }

  /** Cancel an INVITE that has had a provisional answer (§9.1); its final answer comes as usual, a 487 as a rule. */
  cancel(invite: ClientTransaction, branch: string, to: Address): void {
    invite.cancelled();
    const cancel = makeFollowUp(invite.request, 'CANCEL');
    if (!this.request(cancel, branch, to, { response() {}, timeout() {} })) this.send(cancel, to);
  }

  async stop(): Promise<void> {
    for (const { transaction } of this.#servers.values()) transaction.stop();
    for (const transaction of this.#clients.values()) transaction.stop();
    this.#servers.stop();
    this.#clients.stop();
    await this.#socket.stop();
  }

  #sendDatagram(datagram: Buffer, to: Address): void {
    this.counters.sent++;
    this.#socket.send(datagram, to);
  }

  #receive(datagram: Buffer, from: Address, receivedAt: number): void {
    this.counters.received++;
    if (isKeepAlive(datagram)) {
      this.counters.keepAlives++;
      return;
    }
    let message: ReceivedMessage;
    try {
      message = parseMessage(datagram);
    } catch (error) {
      if (!(error instanceof MalformedSip)) throw error;
      this.#refuseMalformed(error, from);
      return;
    }
    if (message.kind === 'request') {
      this.#receiveRequest(stampVia(message, from), from, receivedAt);
      return;
    }
    const transaction = this.#clients.get(clientKey(message.envelope.via.branch, message.envelope.method));
    if (transaction?.expects(message, from)) transaction.receive(message);
    else this.counters.strayResponses++;
  }

  #receiveRequest(request: ReceivedRequest, from: Address, receivedAt: number): void {
    const { method, envelope } = request;
    const isOfInvite = method === 'ACK' || method === 'CANCEL';
    const key = serverKey(envelope, from, isOfInvite ? 'INVITE' : method);
    const known = this.#servers.get(key)?.transaction;
    if (method === 'ACK') {
      if (!known?.acknowledge()) this.#user.acknowledgement(request, from);
    } else if (method === 'CANCEL') {
      this.#answer(request, from, known ? 200 : 481);
      if (known && !known.hasFinalAnswer) this.#user.cancelled(known);
    } else if (known) {
      this.counters.retransmissionsAbsorbed++;
      known.repeat();
    } else this.#admit(request, key, from, receivedAt);
  }

  #admit(request: ReceivedRequest, key: string, from: Address, receivedAt: number): void {
    let verdict: Verdict;
    try {
      verdict = this.#user.admit(request, from);
    } catch (error) {
      // A header that only the user reads (Route, From's URI, the Request-URI) may still be malformed.
      if (!(error instanceof MalformedSip)) throw error;
      verdict = { kind: 'answer', status: error.status };
    }
    if (verdict.kind === 'answer') {
      this.#answer(request, from, verdict.status, verdict.headers);
      return;
    }
    if (!this.#hasRoom(verdict)) {
      this.counters.overloadRefused++;
      this.#answer(request, from, 503, [retryAfter]);
      return;
    }
    const { source } = verdict;
    const { giveUpMs, ringingMs } = this.#timers;
    const transaction = new ServerTransaction(request, this.#timers, {
      send: (datagram) => this.#sendDatagram(datagram, from),
      settled: () => this.#servers.keep(key, giveUpMs),
    });
    this.#quota.take(source);
    this.#servers.set(key, { transaction, source }, ringingMs + giveUpMs);
    verdict.begin(transaction, receivedAt);
  }

  /** On both sides, and in the share of the source. A dialog's requests may use the reserve, and half of it each source. */
  #hasRoom({ source, isInDialog, transactionsLimit }: Extract<Verdict, { kind: 'take' }>): boolean {
    const { inDialogReserve: reserve = 0, transactionsLimit: all, transactionsPerSource = all } = this.#options;
    const wanted = 1 + (isInDialog ? 0 : reserve);
    const share = (transactionsLimit ?? transactionsPerSource) + (isInDialog ? Math.ceil(reserve / 2) : 0);
    return this.#servers.hasRoomFor(wanted) && this.#clients.hasRoomFor(wanted) && this.#quota.heldBy(source) < share;
  }

  /** An answer that leaves nothing behind. */
  #answer(request: ReceivedRequest, to: Address, status: number, headers: readonly SipHeader[] = []): void {
    const tag = this.names.tagFor(identity(request.envelope));
    this.#sendStateless(makeResponse(request, status, tag, headers), to);
  }

  #refuseMalformed({ status, answerable }: MalformedSip, from: Address): void {
    if (!answerable) {
      this.counters.malformedDropped++;
      return;
    }
    this.counters.malformedAnswered++;
    this.#sendStateless(makeResponse(answerable, status, this.names.nextTag()), from);
  }

  #sendStateless(response: ReturnType<typeof makeResponse>, to: Address): void {
    if (this.#rates.take(to.host)) this.#sendDatagram(serialiseMessage(response), to);
    else this.counters.statelessDropped++;
  }
}

function identity({ via, callId, fromTag, sequence }: Envelope): string {
  return `${via.branch}\n${callId}\n${fromTag}\n${sequence}`;
}

function isKeepAlive(datagram: Buffer): boolean {
  return datagram.length <= 4 && datagram.every((byte) => byte === 0x0d || byte === 0x0a || byte === 0);
}
