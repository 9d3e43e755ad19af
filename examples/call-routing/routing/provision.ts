// The accounts and bids that a router starts with. What is there already, from an earlier run, stays as it is.
import type { Runtime } from 'trunkline';
import { Account } from '../domain/account.ts';
import { Bid } from '../domain/bid.ts';
import type { Decimal } from '../domain/money.ts';
import type { LiveStates } from './live-states.ts';

export interface Provision {
  readonly accounts: readonly {
    readonly id: string;
    readonly name: string;
    readonly deposit: Decimal;
    readonly creditLimit: Decimal;
    readonly suspended?: string;
  }[];
  readonly bids: readonly {
    readonly id: string;
    readonly trunk: string;
    readonly prefix: string;
    readonly ratePerMinute: Decimal;
  }[];
}

export async function provision(
  runtime: Runtime,
  wanted: Provision,
  known: { accounts: LiveStates<typeof Account>; bids: LiveStates<typeof Bid> },
): Promise<void> {
  for (const { id, name, deposit, creditLimit, suspended } of wanted.accounts) {
    if (known.accounts.get(id)) continue;
    const account = runtime.ref(Account, id);
    await account.create({ name, currency: 'EUR' });
    await account.setCreditLimit(creditLimit);
    await account.deposit(deposit);
    await account.activate();
    if (suspended) await account.suspend(suspended);
  }
  for (const { id, ...offer } of wanted.bids) {
    if (!known.bids.get(id)) await runtime.ref(Bid, id).place(offer);
  }
}
