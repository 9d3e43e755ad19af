// Who may call, and which account pays: decided before anything is kept or written. A caller is known by its address (a peer) or
// by digest authentication; what stands in From is believed of no caller, except that a peer with several accounts may choose among
// its own. Every other caller is refused, counted, and forgotten.
import { parseNameAddress, parseUri } from '../sip/fields.ts';
import { addressText } from '../sip/matching.ts';
import type { Address, ReceivedRequest, SipHeader } from '../sip/message.ts';
import { headerValue } from '../sip/message.ts';
import type { DigestOptions } from './digest.ts';
import { Digest } from './digest.ts';

/**
 * Callers that are known by where they send from. Only as good as the network between: list an address only where no
 * other machine can send from it.
 */
export interface Peer {
  readonly host: string;
  /** Without it, any port of the host. */
  readonly port?: number;
  /** Who may pay for its calls. One: it pays, whatever From says. Several: From's user names one of them. */
  readonly accounts: readonly string[];
  /** Most transactions and most calls at once of each account, if not as of any other. */
  readonly transactionsLimit?: number;
  readonly callsLimit?: number;
  /** Most calls that each account begins a second, if not as any other. */
  readonly callsPerSecond?: number;
}

/** Without peers and without digest users every call is refused. */
export interface AdmissionOptions {
  readonly peers?: readonly Peer[];
  readonly digest?: DigestOptions;
}

/** The account is the source whose share is taken: accounts are few, addresses are not. */
export type Admitted =
  | {
      readonly kind: 'payer';
      readonly account: string;
      readonly transactionsLimit?: number | undefined;
      readonly callsLimit?: number | undefined;
      readonly callsPerSecond?: number | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly headers: readonly SipHeader[];
      /** See `SourceRates`. */
      readonly isKnown: boolean;
    };

export class Admission {
  readonly counters: Record<'challenged' | 'forbidden' | 'wrongCredentials', number> = {
    challenged: 0,
    forbidden: 0,
    wrongCredentials: 0,
  };
  readonly #peers = new Map<string, Peer>();
  readonly #digest: Digest | undefined;

  constructor({ peers = [], digest }: AdmissionOptions) {
    for (const peer of peers) this.#peers.set(peer.port === undefined ? peer.host : `${peer.host}:${peer.port}`, peer);
    this.#digest = digest && new Digest(digest);
  }

  /** May throw MalformedSip. */
  admit(invite: ReceivedRequest, from: Address): Admitted {
    const peer = this.#peers.get(addressText(from)) ?? this.#peers.get(from.host);
    if (peer) return this.#admitPeer(peer, invite);
    if (!this.#digest) return this.#forbid(false);
    const check = this.#digest.check(invite, from);
    if (check.kind === 'right') return { kind: 'payer', account: check.account };
    if (check.kind === 'wrong') this.counters.wrongCredentials++;
    this.counters.challenged++;
    const challenge = this.#digest.challenge(from, check.kind === 'stale');
    return { kind: 'refuse', status: 407, headers: [challenge], isKnown: check.hasNonce };
  }

  #admitPeer({ accounts, transactionsLimit, callsLimit, callsPerSecond }: Peer, invite: ReceivedRequest): Admitted {
    const named = accounts.length === 1 ? accounts[0] : userOfFrom(invite);
    // As the peer has it: what was cut out of the message would keep that.
    const account = accounts.find((one) => one === named);
    if (account === undefined) return this.#forbid(true);
    return { kind: 'payer', account, transactionsLimit, callsLimit, callsPerSecond };
  }

  #forbid(isKnown: boolean): Admitted {
    this.counters.forbidden++;
    return { kind: 'refuse', status: 403, headers: [], isKnown };
  }
}

function userOfFrom(request: ReceivedRequest): string {
  return parseUri(parseNameAddress(headerValue(request, 'from')!).uri).user;
}
