// What the proxy asks the domain. Each answer comes after the events behind it are `written`; the proxy lets the SIP effect
// leave only then, so no other system can know of a call that a kill has lost.
import type { Address } from '../sip/message.ts';

export interface Invitation {
  /** Derived from the INVITE, the same for each copy of it; the call aggregate's id. */
  readonly callId: string;
  readonly sipCallId: string;
  /** Who pays, as admission has found. */
  readonly account: string;
  /** User part of the Request-URI. */
  readonly called: string;
}

export type Decision =
  | { readonly kind: 'route'; readonly trunk: string; readonly address: Address }
  | { readonly kind: 'refuse'; readonly status: number };

export interface RoutingDesk {
  place(invitation: Invitation): Promise<Decision>;
  answered(callId: string): Promise<void>;
  /** `status` is the SIP status that the caller is about to see. */
  failed(callId: string, status: number): Promise<void>;
  completed(callId: string, ending: CallEnding): Promise<void>;
  /** For how much of the call, from its answer, money is held. */
  coveredMs(callId: string): number;
  /** Hold money for more of it; false if the account can pay no further. */
  extend(callId: string): boolean;
}

export interface CallEnding {
  readonly durationMs: number;
  /**
   * `credit`: it was paid for no further. `nobody`: neither side hung up within the longest time a call may last, or the caller has
   * not acknowledged the answer.
   */
  readonly endedBy: 'caller' | 'callee' | 'credit' | 'nobody';
}
