// Auctions whose commands set timers, for the test kit.
import { setTimeout } from 'node:timers/promises';
import { defineAggregate, event, Rejected } from '../../src/index.ts';

export const Auction = defineAggregate('auction', {
  module: import.meta.url,
  state: () => ({ seen: [] as string[] }),
  events: {
    Opened: event<object>(),
    BidExpired: event<{ bid: string }>(),
    Reminded: event<{ round: number }>(),
    Closed: event<object>(),
  },
  evolve: {
    Opened: ({ seen }) => ({ seen: [...seen, 'opened'] }),
    BidExpired: ({ seen }, { bid }) => ({ seen: [...seen, bid] }),
    Reminded: ({ seen }, { round }) => ({ seen: [...seen, `reminded ${round}`] }),
    Closed: ({ seen }) => ({ seen: [...seen, 'closed'] }),
  },
  commands: {
    open(auction): void {
      auction.raise('Opened', {});
      auction.after(200).expire('a');
    },
    /** Each bid expires after so many milliseconds. */
    bid(auction, delays: Record<string, number>, name?: string): void {
      for (const [bid, delayMs] of Object.entries(delays)) auction.after(delayMs, { name }).expire(bid);
    },
    bidAt(auction, date: number, bid: string): void {
      auction.at(new Date(date)).expire(bid);
    },
    /** Sets one timer, and takes another back. */
    bidAndCancel(auction): void {
      auction.after(100, { name: 'kept' }).expire('kept');
      auction.after(50, { name: 'cancelled' }).expire('cancelled');
      auction.cancel('cancelled');
      auction.send(Auction, 'other').open();
    },
    expire(auction, bid: string): void {
      auction.raise('BidExpired', { bid });
    },
    /** Every 100 milliseconds. */
    remind(auction, round: number): void {
      if (round > 0) auction.raise('Reminded', { round });
      auction.after(100, { name: 'reminder' }).remind(round + 1);
    },
    /** Again and again at the same moment. */
    spin(auction): void {
      auction.after(0).spin();
    },
    /** The command that is due first cancels the one that is due next. */
    closeEarly(auction): void {
      auction.after(200, { name: 'close' }).close();
      auction.after(100).stop('close');
    },
    stop(auction, name: string): void {
      auction.cancel(name);
      auction.send(Auction, 'other').open();
    },
    close(auction): void {
      auction.raise('Closed', {});
    },
    refuseLater(auction): void {
      auction.after(100).expire('before');
      auction.after(200).refuse();
      auction.after(300).expire('behind');
    },
    refuse(auction): void {
      auction.raise('Closed', {});
      throw new Rejected('not-now', { at: 200 });
    },
  },
});

/** Some of its commands are asynchronous. */
export const SlowAuction = defineAggregate('slow-auction', {
  module: import.meta.url,
  state: () => ({ seen: [] as string[] }),
  events: { Opened: event<object>(), BidExpired: event<{ bid: string }>(), Closed: event<object>() },
  evolve: {
    Opened: ({ seen }) => ({ seen: [...seen, 'opened'] }),
    BidExpired: ({ seen }, { bid }) => ({ seen: [...seen, bid] }),
    Closed: ({ seen }) => ({ seen: [...seen, 'closed'] }),
  },
  commands: {
    expire(auction, bid: string): void {
      auction.raise('BidExpired', { bid });
    },
    refuseLater(auction): void {
      auction.after(100).expire('before');
      auction.after(200).refuse();
      auction.after(300).expire('behind');
    },
    async refuse(): Promise<void> {
      await setTimeout(1);
      throw new Rejected('not-now', { at: 200 });
    },
    async openSlowly(auction): Promise<void> {
      await setTimeout(1);
      auction.raise('Opened', {});
      auction.after(100).closeSlowly();
      auction.after(200).expire('a');
    },
    async closeSlowly(auction): Promise<void> {
      await setTimeout(1);
      auction.raise('Closed', {});
    },
    closeSoon(auction): void {
      auction.after(100).closeSlowly();
      auction.after(100).expire('a');
    },
  },
});
