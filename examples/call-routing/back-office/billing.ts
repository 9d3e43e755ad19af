// Each call that an account pays for becomes a transaction in its ledger, once.
import type { Runtime, Subscription } from 'trunkline';
import { Account, type BalanceUpdated } from '../domain/account.ts';
import { Ledger } from '../domain/ledger.ts';
import { fromMicros, sumToMicros } from '../domain/money.ts';

export function billing(runtime: Runtime): Subscription {
  return runtime.subscribe({
    name: 'BillingHandler',
    aggregates: [Account],
    events: ['BalanceUpdated'],
    where: (event) => (event.data as BalanceUpdated).reason === 'call',
    async handle(event, { effectKey }) {
      const { callId, amount } = event.data as BalanceUpdated;
      const transaction = { callId: callId!, amount: fromMicros(-sumToMicros(amount)) };
      await runtime.ref(Ledger, event.aggregateId).with({ idempotencyKey: effectKey }).record(transaction);
    },
  });
}
