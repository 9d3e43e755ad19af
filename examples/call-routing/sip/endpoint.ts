// A SIP endpoint on one loopback socket: datagrams in, new requests and stray ACKs out, everything between them (parsing,
// refusing, absorbing what was sent twice, matching answers) done here. The router, the caller and the callee each have one.
import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { BoundedTable } from './bounded-table.ts';
import type { ClientTransactionPort } from './client-transaction.ts';
import { ClientTransaction, makeFollowUp } from './client-transaction.ts';
import { MalformedSip } from './malformed.ts';
import type { Address, Envelope, ReceivedMessage, ReceivedRequest, SipRequest, Via } from './message.ts';
import { makeHeader } from './message.ts';
import { parseMessage } from './parse.ts';
import { serialiseMessage } from './serialise.ts';
import { makeResponse, ServerTransaction } from './server-transaction.ts';
import type { Timers } from './timers.ts';
import type { UdpSocket } from './udp.ts';
import { openUdp } from './udp.ts';

export interface EndpointUser {
  /** A new request, never an ACK. `receivedAt` is `performance.now()` when its datagram reached JavaScript. */
  request(transaction: ServerTransaction, from: Address, receivedAt: number): void;
  /** An ACK of a 2xx, which travels end to end. */
  acknowledgement(request: ReceivedRequest, from: Address): void;
}

export interface EndpointOptions {
  readonly timers: Timers;
  /** Most transactions held at once, of each kind; a request beyond it gets 503. */
  readonly transactionsLimit: number;
}

export type EndpointCounters = Record<
  | 'received'
  | 'sent'
  | 'retransmissionsAbsorbed'
  | 'malformedAnswered'
  | 'malformedDropped'
  | 'strayResponses'
  | 'overloadRefused'
  | 'keepAlives',
  number
>;

export class Endpoint {
  readonly counters: EndpointCounters = {
    received: 0,
    sent: 0,
    retransmissionsAbsorbed: 0,
    malformedAnswered: 0,
    malformedDropped: 0,
    strayResponses: 0,
    overloadRefused: 0,
    keepAlives: 0,
  };
  readonly #timers: Timers;
  readonly #user: EndpointUser;
  readonly #servers: BoundedTable<ServerTransaction>;
  readonly #clients: BoundedTable<ClientTransaction>;
  readonly #prefix = randomBytes(6).toString('hex');
  #names = 0;
  #socket!: UdpSocket;

  private constructor({ timers, transactionsLimit }: EndpointOptions, user: EndpointUser) {
    this.#timers = timers;
    this.#user = user;
    this.#servers = new BoundedTable(transactionsLimit, (transaction) => transaction.stop(), 2 * timers.t1Ms);
    this.#clients = new BoundedTable(transactionsLimit, (transaction) => transaction.expire(), 2 * timers.t1Ms);
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

  /** A new branch for a Via; §8.1.1.7 has the cookie. */
  nextBranch(): string {
    return `z9hG4bK${this.nextTag()}`;
  }

  nextTag(): string {
    this.#names++;
    return `${this.#prefix}${this.#names.toString(36)}`;
  }

  /** Whether a request that will be forwarded finds room on both sides. */
  get hasRoom(): boolean {
    return this.#servers.hasRoomFor(1) && this.#clients.hasRoomFor(1);
  }

  /** Send what belongs to no transaction: an ACK on its way end to end. */
  send(message: SipRequest, to: Address): void {
    this.#sendDatagram(serialiseMessage(message), to);
  }

  /** Send a request whose top Via has a branch of `nextBranch()`, and repeat it until it is answered. */
  request(
    message: SipRequest,
    branch: string,
    to: Address,
    handlers: Pick<ClientTransactionPort, 'response' | 'timeout'>,
  ): ClientTransaction {
    const key = clientKey(branch, message.method);
    const transaction: ClientTransaction = new ClientTransaction(message, this.#timers, {
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
    this.request(makeFollowUp(invite.request, 'CANCEL'), branch, to, { response() {}, timeout() {} });
  }

  /** The INVITE that a CANCEL means (§9.2). */
  findInvite(cancel: ReceivedRequest): ServerTransaction | undefined {
    return this.#servers.get(serverKey(cancel.envelope, 'INVITE'));
  }

  async stop(): Promise<void> {
    for (const transaction of this.#servers.values()) transaction.stop();
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
      this.#refuse(error, from);
      return;
    }
    if (message.kind === 'request') {
      this.#receiveRequest(stampVia(message, from), from, receivedAt);
      return;
    }
    const transaction = this.#clients.get(clientKey(message.envelope.via.branch, message.envelope.method));
    if (transaction) transaction.receive(message);
    else this.counters.strayResponses++;
  }

  #receiveRequest(request: ReceivedRequest, from: Address, receivedAt: number): void {
    const isAck = request.method === 'ACK';
    const key = serverKey(request.envelope, isAck ? 'INVITE' : request.method);
    const known = this.#servers.get(key);
    if (isAck) {
      if (!known?.acknowledge()) this.#user.acknowledgement(request, from);
      return;
    }
    if (known) {
      this.counters.retransmissionsAbsorbed++;
      known.repeat();
      return;
    }
    const to = answerAddress(request.envelope.via, from);
    if (!this.hasRoom) {
      this.counters.overloadRefused++;
      const retryAfter = makeHeader('Retry-After', '1');
      this.#sendDatagram(serialiseMessage(makeResponse(request, 503, this.nextTag(), [retryAfter])), to);
      return;
    }
    const { giveUpMs, ringingMs } = this.#timers;
    const transaction = new ServerTransaction(request, this.#timers, {
      send: (datagram) => this.#sendDatagram(datagram, to),
      settled: () => this.#servers.keep(key, giveUpMs),
    });
    this.#servers.set(key, transaction, ringingMs + giveUpMs);
    this.#user.request(transaction, from, receivedAt);
  }

  #refuse({ status, answerable }: MalformedSip, from: Address): void {
    if (!answerable) {
      this.counters.malformedDropped++;
      return;
    }
    this.counters.malformedAnswered++;
    const response = makeResponse(answerable, status, this.nextTag());
    this.#sendDatagram(serialiseMessage(response), answerAddress(answerable.via, from));
  }
}

/** Holds also for clients whose branch lacks the cookie: whatever makes a transaction theirs is in the key. */
function serverKey({ via, callId, sequence }: Envelope, method: string): string {
  return `${via.branch}|${via.host}:${via.port ?? 5060}|${callId}|${sequence}|${method}`;
}

function clientKey(branch: string, method: string): string {
  return `${branch}|${method}`;
}

/** Where an answer goes: the source host; the source port if the client asked for it (RFC 3581), else the one it named. */
function answerAddress(via: Via, from: Address): Address {
  return { host: from.host, port: via.parameters.has('rport') ? from.port : (via.port ?? 5060) };
}

/** Note in the top Via where the request came from (§18.2.1, RFC 3581). */
function stampVia(request: ReceivedRequest, from: Address): ReceivedRequest {
  const { host, parameters } = request.envelope.via;
  const wantsPort = parameters.has('rport');
  if (host === from.host && !wantsPort) return request;
  const top = request.headers.findIndex(({ key }) => key === 'via');
  const value = request.headers[top]!.value.replace(/;\s*(rport|received)(\s*=[^;]*)?(?=;|$)/gi, '');
  const stamped = `${value};received=${from.host}${wantsPort ? `;rport=${from.port}` : ''}`;
  return { ...request, headers: request.headers.with(top, makeHeader('Via', stamped)) };
}

function isKeepAlive(datagram: Buffer): boolean {
  return datagram.length <= 4 && datagram.every((byte) => byte === 0x0d || byte === 0x0a || byte === 0);
}
