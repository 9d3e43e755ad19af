// A call, from its INVITE to its end. `place` decides: who pays, whether they can, and which trunk is cheapest.
import { defineAggregate, event, Rejected } from 'trunkline';
import { Account } from './account.ts';
import { Bid } from './bid.ts';
import type { Decimal } from './money.ts';
import { billedSeconds, costMicros, fromMicros, toMicros } from './money.ts';

export interface CallState {
  readonly status: 'none' | 'created' | 'routed' | 'answered' | 'completed' | 'failed';
  readonly accountId: string;
  readonly ratePerMinute: Decimal;
}

export interface CallCreated {
  readonly sipCallId: string;
  readonly accountId: string;
  readonly called: string;
}

export interface CallRouted {
  readonly bidId: string;
  readonly trunk: string;
  readonly ratePerMinute: Decimal;
}

export interface CallCompleted {
  readonly durationMs: number;
  readonly billedSeconds: number;
  readonly cost: Decimal;
  /** `credit`: the account could pay no further. `nobody`: neither side, within the longest time a call may last. */
  readonly endedBy: 'caller' | 'callee' | 'credit' | 'nobody';
}

/** How much of a call is paid for before it begins. */
export const firstHoldMs = 60_000;

/** Longer than the proxy waits for an answer (Timer C, 200 s, and the end of its transaction): by then its router has lost the call. */
const unansweredMs = 300_000;

export interface CompleteCall extends Pick<CallCompleted, 'durationMs' | 'endedBy'> {
  /** For how much of it money is held, if that is not the first minute: no account pays more than was held for it. */
  readonly coveredMs?: number;
}

export type FailureReason =
  | 'unknown-account'
  | 'account-suspended'
  | 'insufficient-credit'
  | 'no-route'
  | 'cancelled'
  | 'not-answered'
  | 'refused-by-trunk'
  | 'router-restarted';

export interface CallFailed {
  /** The SIP status that the caller got. */
  readonly status: number;
  readonly reason: FailureReason;
}

export interface PlaceCall extends CallCreated {
  /** Undefined if the account is unknown. `firstHoldMs`: how much of the call must be paid for, if not a minute. */
  readonly standing:
    | { readonly isActive: boolean; readonly availableMicros: number; readonly firstHoldMs?: number }
    | undefined;
  /** The live bids for the called number. */
  readonly bids: readonly CallRouted[];
}

export type Placed =
  | { readonly kind: 'route'; readonly trunk: string; readonly ratePerMinute: Decimal; readonly raiseMicros: number }
  | { readonly kind: 'refuse'; readonly status: number };

/** The timer of a call that waits for an answer. */
const unanswered = 'unanswered';

export const Call = defineAggregate('call', {
  module: import.meta.url,
  state: (): CallState => ({ status: 'none', accountId: '', ratePerMinute: '0.00' }),
  events: {
    CallCreated: event<CallCreated>(),
    CallRouted: event<CallRouted>(),
    CallAnswered: event<Record<string, never>>(),
    CallCompleted: event<CallCompleted>(),
    CallFailed: event<CallFailed>(),
  },
  evolve: {
    CallCreated: (state, { accountId }) => ({ ...state, accountId, status: 'created' }),
    CallRouted: (state, { ratePerMinute }) => ({ ...state, ratePerMinute, status: 'routed' }),
    CallAnswered: (state) => ({ ...state, status: 'answered' }),
    CallCompleted: (state) => ({ ...state, status: 'completed' }),
    CallFailed: (state) => ({ ...state, status: 'failed' }),
  },
  commands: {
    place(call, { standing, bids, sipCallId, accountId, called }: PlaceCall): Placed {
      if (call.state.status !== 'none') throw new Rejected('call-exists');
      call.raise('CallCreated', { sipCallId, accountId, called });
      const winner = cheapest(bids);
      const refusal = refuse(standing, winner);
      if (refusal || !winner) {
        const failure = refusal ?? { status: 404, reason: 'no-route' };
        call.raise('CallFailed', failure);
        return { kind: 'refuse', status: failure.status };
      }
      const startedAt = performance.now();
      call.raise('CallRouted', winner);
      const raiseMicros = (performance.now() - startedAt) * 1_000;
      call.after(unansweredMs, { name: unanswered }).giveUp();
      for (const { bidId } of bids) {
        const bid = call.send(Bid, bidId);
        if (bidId === winner.bidId) bid.win(call.id);
        else bid.lose(call.id);
      }
      return { kind: 'route', trunk: winner.trunk, ratePerMinute: winner.ratePerMinute, raiseMicros };
    },
    answer(call) {
      if (call.state.status !== 'routed') throw new Rejected('call-not-routed');
      call.raise('CallAnswered', {});
      call.cancel(unanswered);
    },
    complete(call, { durationMs, endedBy, coveredMs = firstHoldMs }: CompleteCall) {
      if (call.state.status !== 'answered') throw new Rejected('call-not-answered');
      const billedMs = Math.min(durationMs, coveredMs);
      const cost = fromMicros(costMicros(call.state.ratePerMinute, billedMs));
      call.raise('CallCompleted', { durationMs, billedSeconds: billedSeconds(billedMs), cost, endedBy });
      call.send(Account, call.state.accountId).charge({ callId: call.id, cost });
    },
    fail(call, failure: CallFailed) {
      if (call.state.status === 'completed' || call.state.status === 'failed') throw new Rejected('call-over');
      if (call.state.status === 'routed') call.cancel(unanswered);
      call.raise('CallFailed', failure);
    },
    giveUp(call) {
      if (call.state.status === 'routed') call.raise('CallFailed', { status: 408, reason: 'not-answered' });
    },
  },
});

function cheapest(bids: readonly CallRouted[]): CallRouted | undefined {
  let best: CallRouted | undefined;
  for (const bid of bids) if (!best || toMicros(bid.ratePerMinute) < toMicros(best.ratePerMinute)) best = bid;
  return best;
}

/** A call is admitted when its first minute is covered. */
function refuse(standing: PlaceCall['standing'], winner: CallRouted | undefined): CallFailed | undefined {
  if (!standing) return { status: 403, reason: 'unknown-account' };
  if (!standing.isActive) return { status: 403, reason: 'account-suspended' };
  const { availableMicros, firstHoldMs: holdMs = firstHoldMs } = standing;
  if (winner && costMicros(winner.ratePerMinute, holdMs) > availableMicros) {
    return { status: 402, reason: 'insufficient-credit' };
  }
  return undefined;
}
