// A SIP endpoint on one socket: datagrams in, new requests and stray ACKs out, everything between them (parsing, refusing,
// absorbing what was sent twice, matching answers) done here. The router, the caller and the callee each have one. Of a request
// that its user refuses nothing is kept: the answer is made from the request alone.
import { Buffer } from 'node:buffer';
import { BoundedTable } from './bounded-table.ts';
import type { ClientTransactionPort } from './client-transaction.ts';
import { ClientTransaction, makeFollowUp } from './client-transaction.ts';
import type { EndpointCounters, EndpointOptions, EndpointUser, Verdict } from './endpoint-user.ts';
import { bytesOf } from './kept.ts';
import { MalformedSip } from './malformed.ts';
import { clientKey, serverKey } from './matching.ts';
import type { Address, Envelope, ReceivedMessage, ReceivedRequest, SipRequest } from './message.ts';
import { makeHeader } from './message.ts';
import { Names } from './names.ts';
import { parseMessage } from './parse.ts';
import type { Charge } from './quota.ts';
import { Room } from './room.ts';
import { serialiseMessage } from './serialise.ts';
import { makeResponse, ServerTransaction } from './server-transaction.ts';
import { SourceRates } from './source-rates.ts';
import type { Timers } from './timers.ts';
import type { UdpSocket } from './udp.ts';
import { openUdp } from './udp.ts';
import { stampVia } from './via.ts';

/** A transaction, and the room that it takes. */
interface Held<Transaction> {
  readonly transaction: Transaction;
  readonly charge: Charge;
}

/** Whose share a request is in; see `Verdict` for `isEnding`. */
type Share = Pick<Extract<Verdict, { kind: 'take' }>, 'source' | 'isEnding'>;

type StatelessAnswer = Omit<Extract<Verdict, { kind: 'answer' }>, 'kind'>;

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
  readonly #timers: Timers;
  readonly #user: EndpointUser;
  readonly #servers: BoundedTable<Held<ServerTransaction>>;
  readonly #clients: BoundedTable<Held<ClientTransaction>>;
  readonly #room: Room;
  readonly #rates: SourceRates;
  #socket!: UdpSocket;

  private constructor(options: EndpointOptions, user: EndpointUser) {
    const { timers, transactionsLimit, statelessPerSecond = defaultStatelessPerSecond } = options;
    this.#timers = timers;
    this.#user = user;
    this.#room = new Room(options);
    const sweepEveryMs = 2 * timers.t1Ms;
    this.#servers = new BoundedTable(
      transactionsLimit,
      ({ transaction, charge }) => {
        transaction.stop();
        charge.release();
      },
      sweepEveryMs,
    );
    this.#clients = new BoundedTable(
      transactionsLimit,
      ({ transaction, charge }) => {
        charge.release();
        transaction.expire();
      },
      sweepEveryMs,
    );
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

  /** What they hold, in bytes. */
  get transactionBytes(): number {
    return this.#room.bytes;
  }

  /** Send what belongs to no transaction: an ACK that goes end to end. */
  send(message: SipRequest, to: Address): void {
    this.#sendDatagram(serialiseMessage(message), to);
  }

  /**
   * Send a request whose top Via has a branch of `names.nextBranch()`, and repeat it until it is answered. Undefined, and
   * nothing sent, if the table is full. What it holds is in the share of `source`.
   */
  request(
    message: SipRequest,
    branch: string,
    to: Address,
    { source, isEnding = false, ...handlers }: Pick<ClientTransactionPort, 'response' | 'timeout'> & Share,
  ): ClientTransaction | undefined {
    if (!isEnding && !this.#clients.hasRoomFor(1)) return undefined;
    const key = clientKey(branch, message.method);
    const charge = this.#room.charge(source, 'sent', 0);
    const transaction: ClientTransaction = new ClientTransaction(message, to, this.#timers, {
      ...handlers,
      send: (text) => this.#sendDatagram(Buffer.from(text, 'latin1'), to),
      keep: (lifetimeMs) => {
        charge.become(transaction.heldBytes);
        this.#clients.keep(key, lifetimeMs);
      },
    });
    this.#clients.set(key, { transaction, charge }, this.#timers.giveUpMs);
    transaction.start();
    return transaction;
  }

  /** Cancel an INVITE that has had a provisional answer (§9.1); its final answer comes as usual, a 487 as a rule. */
  cancel(invite: ClientTransaction, branch: string, to: Address): void {
    if (!invite.cancelled()) return;
    const cancel = makeFollowUp(invite.request, 'CANCEL');
    const source = this.#clients.get(clientKey(branch, 'INVITE'))?.charge.source ?? '';
    if (!this.request(cancel, branch, to, { source, response() {}, timeout() {} })) this.send(cancel, to);
  }

  async stop(): Promise<void> {
    for (const { transaction } of this.#servers.values()) transaction.stop();
    for (const { transaction } of this.#clients.values()) transaction.stop();
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
    const key = clientKey(message.envelope.via.branch, message.envelope.method);
    const transaction = this.#clients.get(key)?.transaction;
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
      this.#answer(request, from, { status: known ? 200 : 481, isKnown: known !== undefined });
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
      this.#answer(request, from, verdict);
      return;
    }
    const places = this.#room.placesFor(verdict);
    const hasPlaces = this.#servers.hasRoomFor(places) && this.#clients.hasRoomFor(places);
    if (!verdict.isEnding && !(hasPlaces && this.#room.isLeftFor(request, verdict))) {
      this.counters.overloadRefused++;
      this.#answer(request, from, { status: 503, headers: [retryAfter], isKnown: true });
      return;
    }
    const { giveUpMs, ringingMs } = this.#timers;
    const charge = this.#room.charge(verdict.source, 'received', bytesOf(request));
    const transaction: ServerTransaction = new ServerTransaction(request, this.#timers, {
      send: (text) => this.#sendDatagram(Buffer.from(text, 'latin1'), from),
      answered: () => charge.become(transaction.heldBytes),
      settled: () => this.#servers.keep(key, giveUpMs),
    });
    this.#servers.set(key, { transaction, charge }, ringingMs + giveUpMs);
    verdict.begin(transaction, receivedAt);
  }

  /** An answer that leaves nothing behind. */
  #answer(request: ReceivedRequest, to: Address, { status, headers = [], isKnown = false }: StatelessAnswer): void {
    const tag = this.names.tagFor(identity(request.envelope));
    this.#sendStateless(makeResponse(request, status, tag, headers), to, isKnown);
  }

  #refuseMalformed({ status, answerable }: MalformedSip, from: Address): void {
    if (!answerable) {
      this.counters.malformedDropped++;
      return;
    }
    this.counters.malformedAnswered++;
    this.#sendStateless(makeResponse(answerable, status, this.names.nextTag()), from, false);
  }

  #sendStateless(response: ReturnType<typeof makeResponse>, to: Address, isKnown: boolean): void {
    if (this.#rates.take(to, isKnown)) this.#sendDatagram(serialiseMessage(response), to);
    else this.counters.statelessDropped++;
  }
}

function identity({ via, callId, fromTag, sequence }: Envelope): string {
  return `${via.branch}\n${callId}\n${fromTag}\n${sequence}`;
}

function isKeepAlive(datagram: Buffer): boolean {
  return datagram.length <= 4 && datagram.every((byte) => byte === 0x0d || byte === 0x0a || byte === 0);
}
