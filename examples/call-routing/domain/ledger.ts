// What an account owes for its calls: a transaction per call, invoices over them, payments and refunds.
import { defineAggregate, event, Rejected } from 'trunkline';
import type { Decimal } from './money.ts';
import { fromMicros, sumToMicros } from './money.ts';

export interface LedgerState {
  /** Of transactions that no invoice names yet. */
  readonly unbilledMicros: number;
  /** Invoiced and not paid. */
  readonly owedMicros: number;
  readonly paidMicros: number;
  readonly invoices: number;
}

export const Ledger = defineAggregate('ledger', {
  module: import.meta.url,
  state: (): LedgerState => ({ unbilledMicros: 0, owedMicros: 0, paidMicros: 0, invoices: 0 }),
  events: {
    TransactionCreated: event<{ callId: string; amount: Decimal }>(),
    InvoiceGenerated: event<{ number: number; amount: Decimal }>(),
    PaymentProcessed: event<{ reference: string; amount: Decimal }>(),
    RefundIssued: event<{ reason: string; amount: Decimal }>(),
  },
  evolve: {
    TransactionCreated: (state, { amount }) => ({
      ...state,
      unbilledMicros: state.unbilledMicros + sumToMicros(amount),
    }),
    InvoiceGenerated: (state, { amount }) => ({
      ...state,
      unbilledMicros: 0,
      owedMicros: state.owedMicros + sumToMicros(amount),
      invoices: state.invoices + 1,
    }),
    PaymentProcessed: (state, { amount }) => ({
      ...state,
      owedMicros: state.owedMicros - sumToMicros(amount),
      paidMicros: state.paidMicros + sumToMicros(amount),
    }),
    RefundIssued: (state, { amount }) => ({ ...state, paidMicros: state.paidMicros - sumToMicros(amount) }),
  },
  commands: {
    record(ledger, transaction: { callId: string; amount: Decimal }) {
      ledger.raise('TransactionCreated', transaction);
    },
    invoice(ledger) {
      if (ledger.state.unbilledMicros === 0) throw new Rejected('nothing-to-invoice');
      const number = ledger.state.invoices + 1;
      ledger.raise('InvoiceGenerated', { number, amount: fromMicros(ledger.state.unbilledMicros) });
      return number;
    },
    pay(ledger, payment: { reference: string; amount: Decimal }) {
      if (sumToMicros(payment.amount) <= 0) throw new Rejected('not-a-payment', payment);
      ledger.raise('PaymentProcessed', payment);
    },
    refund(ledger, refund: { reason: string; amount: Decimal }) {
      const micros = sumToMicros(refund.amount);
      if (micros <= 0 || micros > ledger.state.paidMicros) throw new Rejected('not-refundable', refund);
      ledger.raise('RefundIssued', refund);
    },
  },
});
