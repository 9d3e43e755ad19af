// An account: who pays for calls, from a balance and as far as a credit limit below it.
import { defineAggregate, event, Rejected } from 'trunkline';
import { z } from 'zod';
import type { Decimal } from './money.ts';
import { decimal, fromMicros, largestMicros, sumToMicros, toMicros } from './money.ts';

export interface AccountState {
  readonly status: 'none' | 'created' | 'active' | 'suspended';
  readonly balanceMicros: number;
  readonly creditLimitMicros: number;
}

export interface BalanceUpdated {
  readonly amount: Decimal;
  readonly balance: Decimal;
  readonly reason: 'deposit' | 'call';
  readonly callId?: string;
}

export const Account = defineAggregate('account', {
  module: import.meta.url,
  state: (): AccountState => ({ status: 'none', balanceMicros: 0, creditLimitMicros: 0 }),
  events: {
    AccountCreated: event(z.object({ name: z.string().min(1), currency: z.string().length(3) })),
    AccountActivated: event<Record<string, never>>(),
    AccountSuspended: event<{ reason: string }>(),
    BalanceUpdated: event<BalanceUpdated>(),
    CreditLimitChanged: event(z.object({ creditLimit: decimal, previous: decimal })),
  },
  evolve: {
    AccountCreated: (state) => ({ ...state, status: 'created' }),
    AccountActivated: (state) => ({ ...state, status: 'active' }),
    AccountSuspended: (state) => ({ ...state, status: 'suspended' }),
    BalanceUpdated: (state, { balance }) => ({ ...state, balanceMicros: sumToMicros(balance) }),
    CreditLimitChanged: (state, { creditLimit }) => ({ ...state, creditLimitMicros: toMicros(creditLimit) }),
  },
  commands: {
    create(account, input: { name: string; currency: string }) {
      if (account.state.status !== 'none') throw new Rejected('account-exists');
      account.raise('AccountCreated', input);
    },
    activate(account) {
      if (account.state.status === 'none') throw new Rejected('no-such-account');
      if (account.state.status !== 'active') account.raise('AccountActivated', {});
    },
    suspend(account, reason: string) {
      if (account.state.status !== 'active') throw new Rejected('account-not-active');
      account.raise('AccountSuspended', { reason });
    },
    deposit(account, amount: Decimal) {
      if (account.state.status === 'none') throw new Rejected('no-such-account');
      if (toMicros(amount) <= 0) throw new Rejected('not-a-deposit', { amount });
      const balanceMicros = account.state.balanceMicros + toMicros(amount);
      if (balanceMicros > largestMicros) throw new Rejected('balance-too-large', { amount });
      const balance = fromMicros(balanceMicros);
      account.raise('BalanceUpdated', { amount, balance, reason: 'deposit' });
    },
    setCreditLimit(account, creditLimit: Decimal) {
      if (account.state.status === 'none') throw new Rejected('no-such-account');
      account.raise('CreditLimitChanged', { creditLimit, previous: fromMicros(account.state.creditLimitMicros) });
    },
    /** A call has taken place and is paid for, whatever has become of the account meanwhile. */
    charge(account, { callId, cost }: { callId: string; cost: Decimal }) {
      const costMicros = sumToMicros(cost);
      const balanceMicros = account.state.balanceMicros - costMicros;
      if (balanceMicros < -largestMicros) throw new Rejected('balance-too-small', { callId, cost });
      const [amount, balance] = [fromMicros(-costMicros), fromMicros(balanceMicros)];
      account.raise('BalanceUpdated', { amount, balance, reason: 'call', callId });
    },
  },
});
