// What an endpoint is given, what it asks of the one it works for, and what it counts.
import type { Address, ReceivedRequest, SipHeader } from './message.ts';
import type { ServerTransaction } from './server-transaction.ts';
import type { Timers } from './timers.ts';

/** What becomes of a new request. */
export type Verdict =
  | {
      readonly kind: 'take';
      /** Who answers for the room that it takes; see `Room`. */
      readonly source: string;
      /** Requests inside dialogs may use the reserve. */
      readonly isInDialog: boolean;
      /** It ends what takes room, and is taken even if there is none: so many may come as there are calls, and no more. */
      readonly isEnding?: boolean;
      /** Most transactions of this source, if not as of all others. */
      readonly transactionsLimit?: number | undefined;
      /** If there is room. `receivedAt` is `performance.now()` when its datagram reached JavaScript. */
      readonly begin: (transaction: ServerTransaction, receivedAt: number) => void;
    }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: readonly SipHeader[];
      /** The sender reads what goes to its address, or that address is one of ours; see `SourceRates`. */
      readonly isKnown?: boolean;
    };

export interface EndpointUser {
  /** Asked before anything is kept of a new request; never of an ACK or a CANCEL. May throw MalformedSip. */
  admit(request: ReceivedRequest, from: Address): Verdict;
  /** A CANCEL has come for an INVITE that has no final answer yet, from where that came from. */
  cancelled(invite: ServerTransaction): void;
  /** An ACK of a 2xx, which travels end to end. */
  acknowledgement(request: ReceivedRequest, from: Address): void;
}

export interface EndpointOptions {
  readonly timers: Timers;
  /** Most transactions held at once, of each kind; a request beyond it gets 503. */
  readonly transactionsLimit: number;
  /** As many of them are for requests inside dialogs: no flood of INVITEs keeps a BYE out. */
  readonly inDialogReserve?: number;
  /** Most transactions of one source, unless its verdict names another limit. */
  readonly transactionsPerSource?: number;
  /** A share of n transactions is so many times n bytes, too. Default: 8,192. */
  readonly bytesPerTransaction?: number;
  /** Most answers a second to one address that leave no state behind; what comes beyond it is counted and dropped. Twice as many
   * to all strangers of one host. */
  readonly statelessPerSecond?: number;
}

export type EndpointCounters = Record<
  | 'received'
  | 'sent'
  | 'retransmissionsAbsorbed'
  | 'malformedAnswered'
  | 'malformedDropped'
  | 'strayResponses'
  | 'overloadRefused'
  | 'statelessDropped'
  | 'keepAlives',
  number
>;
