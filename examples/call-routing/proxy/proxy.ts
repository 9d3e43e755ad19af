// A stateful, record-routing SIP proxy (RFC 3261 §16): calls go through CallAttempt, requests inside a dialog through InDialog to
// its other side, and whatever else a client may send gets the answer that the RFC has for it, and leaves nothing behind.
import { normaliseNumber } from '../domain/number.ts';
import { Endpoint } from '../sip/endpoint.ts';
import type { Verdict } from '../sip/endpoint-user.ts';
import { parseUri } from '../sip/fields.ts';
import { detach } from '../sip/kept.ts';
import type { Address, ReceivedRequest, SipHeader } from '../sip/message.ts';
import { headerValue, makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Timers } from '../sip/timers.ts';
import type { AdmissionOptions } from './admission.ts';
import { Admission } from './admission.ts';
import { CallAttempt } from './call-attempt.ts';
import { CallClock } from './call-clock.ts';
import { CallRates } from './call-rates.ts';
import type { LiveCall } from './calls.ts';
import { Calls } from './calls.ts';
import type { CallEnding, RoutingDesk } from './desk.ts';
import { hopsLeft, isLoop } from './forward.ts';
import { allow, InDialog } from './in-dialog.ts';
import { bytesOfCaller, sequenceLimit } from './sides.ts';
import { tearDown } from './teardown.ts';

export interface ProxyOptions {
  readonly listen: Address;
  readonly desk: RoutingDesk;
  readonly admission: AdmissionOptions;
  readonly timers: Timers;
  /** Most transactions of each kind at once; a transaction stays for 32 s after its end. */
  readonly transactionsLimit: number;
  /** Most calls at once. */
  readonly callsLimit: number;
  /** Most calls of one account, unless its peer has a limit of its own. Default: a quarter of all. */
  readonly callsPerAccount?: number;
  /** Most calls that one account begins a second, unless its peer has a limit of its own. Default: 100. */
  readonly callsPerSecond?: number;
  /** As many transactions are for requests inside dialogs. Default: an eighth of all. */
  readonly inDialogReserve?: number;
  /** Most transactions of one account, unless its peer has a limit of its own. Default: a sixteenth of all. */
  readonly transactionsPerAccount?: number;
  /** A share of n transactions is so many times n bytes, too. Default: 8,192. */
  readonly bytesPerTransaction?: number;
  /** Most answers a second to one address that leave no state behind; twice as many to all strangers of its host. Default: 1,000. */
  readonly statelessPerSecond?: number;
  /** An INVITE has left; `elapsedMs` since its datagram reached JavaScript. */
  readonly forwarded: (trunk: string, elapsedMs: number) => void;
  /** The desk could not do what it was asked. */
  readonly failed: (error: unknown) => void;
}

/** What call attempts and dialogs work with. */
export interface ProxyParts extends Pick<ProxyOptions, 'desk' | 'timers' | 'forwarded' | 'failed'> {
  readonly endpoint: Endpoint;
  readonly calls: Calls;
  /** The 2xx of a call is on record. */
  readonly answered: (call: LiveCall) => void;
  /**
   * A call that was answered is charged until `at`, and no further. Resolves when that is on record; the first time counts, however
   * often it is called.
   */
  readonly ended: (call: LiveCall, endedBy: CallEnding['endedBy'], at: number) => Promise<void>;
}

const defaultCallsPerSecond = 100;

export class SipProxy {
  readonly #options: ProxyOptions;
  readonly #admission: Admission;
  readonly #callsPerAccount: number;
  readonly #calls: Calls;
  readonly #rates = new CallRates();
  readonly #attempts = new WeakMap<ServerTransaction, CallAttempt>();
  readonly #counters = { strayAcknowledgements: 0, unknownDialogs: 0, loops: 0, callsRefused: 0 };
  readonly #clock: CallClock;
  #endpoint!: Endpoint;
  #parts!: ProxyParts;
  #inDialog!: InDialog;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#admission = new Admission(options.admission);
    this.#callsPerAccount = options.callsPerAccount ?? Math.max(1, options.callsLimit >> 2);
    this.#calls = new Calls(options.callsLimit, (call) => void this.#endByRouter(call, 'nobody'));
    this.#clock = new CallClock(options.desk, options.timers.giveUpMs, (call, endedBy) => {
      if (this.#calls.remove(call)) void this.#endByRouter(call, endedBy);
    });
  }

  static async start(options: ProxyOptions): Promise<SipProxy> {
    const proxy = new SipProxy(options);
    const { transactionsLimit: all } = options;
    const { inDialogReserve = all >> 3, transactionsPerAccount = Math.max(1, all >> 4) } = options;
    const endpointOptions = { ...options, inDialogReserve, transactionsPerSource: transactionsPerAccount };
    proxy.#endpoint = await Endpoint.start(options.listen, endpointOptions, {
      admit: (request, from) => proxy.#admit(request, from),
      cancelled: (invite) => proxy.#cancel(invite),
      acknowledgement: (request, from) => {
        if (!proxy.#inDialog.acknowledge(request, from)) proxy.#counters.strayAcknowledgements++;
      },
    });
    proxy.#parts = {
      ...options,
      endpoint: proxy.#endpoint,
      calls: proxy.#calls,
      answered: (call) => {
        proxy.#calls.keep(call, options.timers.callMs);
        proxy.#clock.start(call);
        proxy.#endIfCrossed(call);
      },
      ended: (call, endedBy, at) => proxy.#end(call, endedBy, at),
    };
    proxy.#inDialog = new InDialog(proxy.#parts);
    return proxy;
  }

  get address(): Address {
    return this.#endpoint.address;
  }

  get counters(): Readonly<Record<string, number>> {
    const { counters, sendFailures, transactions, transactionBytes } = this.#endpoint;
    const now = { calls: this.#calls.size, callBytes: this.#calls.bytes, transactions, transactionBytes };
    return { ...counters, ...this.#counters, ...this.#admission.counters, ...now, sendFailures };
  }

  async stop(): Promise<void> {
    this.#clock.stopAll();
    this.#calls.stop();
    await this.#endpoint.stop();
  }

  #admit(request: ReceivedRequest, from: Address): Verdict {
    const { method, envelope } = request;
    const hops = hopsLeft(request);
    const extensions = headerValue(request, 'proxy-require');
    if (hops === undefined) return this.#refuse(request, from, answer(400));
    if (isLoop(request, this.#endpoint.address, this.#endpoint.names)) {
      this.#counters.loops++;
      return answer(482);
    }
    if (hops === 0) return this.#refuse(request, from, answer(483));
    if (extensions !== undefined)
      return this.#refuse(request, from, answer(420, makeHeader('Unsupported', extensions)));
    if (envelope.toTag !== '') {
      const verdict = this.#inDialog.admit(request, from);
      if (verdict.kind === 'answer') this.#counters.unknownDialogs++;
      return verdict;
    }
    if (method === 'INVITE') return this.#admitInvite(request, from);
    return method === 'OPTIONS' ? answer(200, allow) : answer(405, allow);
  }

  #refuse(request: ReceivedRequest, from: Address, refusal: Verdict): Verdict {
    if (request.method === 'BYE') this.#inDialog.refused(request, from);
    return refusal;
  }

  #admitInvite(invite: ReceivedRequest, from: Address): Verdict {
    const admitted = this.#admission.admit(invite, from);
    if (admitted.kind === 'refuse') return { ...admitted, kind: 'answer' };
    const { scheme, user } = parseUri(invite.uri);
    if (scheme !== 'sip') return answerKnown(416);
    const number = normaliseNumber(user);
    if (number === undefined) return answerKnown(404);
    if (invite.envelope.sequence >= sequenceLimit) return answerKnown(400);
    // The same caller has a call of this name: a copy that came by another way, or a second one that would take its dialog.
    if (this.#calls.has(invite.envelope, from)) return answerKnown(482);
    const { account, transactionsLimit, callsLimit = this.#callsPerAccount } = admitted;
    const { callsPerSecond = this.#options.callsPerSecond ?? defaultCallsPerSecond } = admitted;
    const bytes = bytesOfCaller(invite);
    if (bytes === undefined) return answerKnown(513);
    if (!this.#calls.hasRoomFor(account, callsLimit, bytes) || !this.#rates.take(account, callsPerSecond)) {
      this.#counters.callsRefused++;
      return answerKnown(503, makeHeader('Retry-After', '1'));
    }
    const [called] = detach([number]);
    const begin = (invite: ServerTransaction, receivedAt: number): void => {
      const attempt = new CallAttempt(this.#parts, { invite, from, receivedAt, account, called, callsLimit });
      this.#attempts.set(invite, attempt);
      void attempt.start();
    };
    return { kind: 'take', source: account, isInDialog: false, transactionsLimit, begin };
  }

  #cancel(invite: ServerTransaction): void {
    const attempt = this.#attempts.get(invite);
    if (attempt) attempt.cancel();
    else this.#inDialog.cancel(invite);
  }

  /** A BYE from before the answer says nothing about what either side does now: both get one of the router's. */
  #endIfCrossed(call: LiveCall): void {
    const { callee, at } = call.answered!;
    if (!callee.earlyBye || !this.#calls.remove(call)) return;
    tearDown(this.#endpoint, call);
    void this.#end(call, callee.earlyBye, at);
  }

  /** What neither side has ended: both get a BYE. */
  async #endByRouter(call: LiveCall, endedBy: 'credit' | 'nobody'): Promise<void> {
    tearDown(this.#endpoint, call);
    await this.#end(call, endedBy, performance.now());
  }

  #end(call: LiveCall, endedBy: CallEnding['endedBy'], at: number): Promise<void> {
    this.#clock.stop(call);
    call.ending ??= this.#complete(call, endedBy, at);
    return call.ending;
  }

  async #complete({ id, answered }: LiveCall, endedBy: CallEnding['endedBy'], at: number): Promise<void> {
    if (!answered) return;
    const durationMs = Math.max(0, Math.round(at - answered.at));
    try {
      await this.#options.desk.completed(id, { durationMs, endedBy });
    } catch (error) {
      this.#options.failed(error);
    }
  }
}

/** Of one who is known by its address, or has shown that it reads what goes there. */
function answerKnown(status: number, ...headers: SipHeader[]): Verdict {
  return { kind: 'answer', status, headers, isKnown: true };
}

function answer(status: number, ...headers: SipHeader[]): Verdict {
  return { kind: 'answer', status, headers };
}
