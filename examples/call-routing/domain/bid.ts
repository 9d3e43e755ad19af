// A bid: a trunk's standing offer to carry calls to the numbers under a prefix, at a rate, until it expires. It learns of
// each call that it won or lost.
import { defineAggregate, event, Rejected } from 'trunkline';
import { z } from 'zod';
import type { Decimal } from './money.ts';
import { price } from './money.ts';

export interface BidState {
  readonly status: 'none' | 'live' | 'expired';
  readonly trunk: string;
  readonly prefix: string;
  readonly ratePerMinute: Decimal;
  readonly won: number;
  readonly lost: number;
}

/** As called numbers are spelled (number.ts): another spelling would never be met. */
const prefix = z.string().regex(/^\d{0,15}$/, 'must be digits, without a plus');
const placed = z.object({ trunk: z.string().min(1), prefix, ratePerMinute: price });

export const Bid = defineAggregate('bid', {
  module: import.meta.url,
  state: (): BidState => ({ status: 'none', trunk: '', prefix: '', ratePerMinute: '0.00', won: 0, lost: 0 }),
  events: {
    BidPlaced: event(placed),
    BidUpdated: event(placed.pick({ ratePerMinute: true })),
    BidWon: event<{ callId: string }>(),
    BidLost: event<{ callId: string }>(),
    BidExpired: event<Record<string, never>>(),
  },
  evolve: {
    BidPlaced: (state, offer) => ({ ...state, ...offer, status: 'live' }),
    BidUpdated: (state, { ratePerMinute }) => ({ ...state, ratePerMinute }),
    BidWon: (state) => ({ ...state, won: state.won + 1 }),
    BidLost: (state) => ({ ...state, lost: state.lost + 1 }),
    BidExpired: (state) => ({ ...state, status: 'expired' }),
  },
  commands: {
    place(bid, offer: z.infer<typeof placed>) {
      if (bid.state.status !== 'none') throw new Rejected('bid-exists');
      bid.raise('BidPlaced', offer);
    },
    update(bid, ratePerMinute: Decimal) {
      if (bid.state.status !== 'live') throw new Rejected('bid-not-live');
      bid.raise('BidUpdated', { ratePerMinute });
    },
    /** The call was routed while the bid was live, so this holds even if it has expired since. */
    win(bid, callId: string) {
      bid.raise('BidWon', { callId });
    },
    lose(bid, callId: string) {
      bid.raise('BidLost', { callId });
    },
    /** It is withdrawn: calls may still go to it for so long. */
    withdraw(bid, noticeMs: number) {
      if (bid.state.status !== 'live') throw new Rejected('bid-not-live');
      bid.after(noticeMs, { name: 'expiry' }).expire();
    },
    expire(bid) {
      if (bid.state.status === 'live') bid.raise('BidExpired', {});
    },
  },
});
