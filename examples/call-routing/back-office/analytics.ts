// AnalyticsHandler: figures of each day, folded from events.
import { defineProjection, type ProjectionDefinition } from 'trunkline';
import { fromMicros, sumToMicros } from '../domain/money.ts';

export interface Analytics {
  readonly calls: number;
  readonly billedSeconds: number;
  readonly bids: number;
  readonly revenue: string;
}

export const analytics: ProjectionDefinition<Analytics> = defineProjection<Analytics>({
  name: 'AnalyticsHandler',
  events: ['CallCompleted', 'BidPlaced', 'TransactionCreated'],
  key: ({ occurredAt }) => occurredAt.toISOString().slice(0, 10),
  init: () => ({ calls: 0, billedSeconds: 0, bids: 0, revenue: '0.00' }),
  apply(day, { type, data }) {
    if (type === 'BidPlaced') return { ...day, bids: day.bids + 1 };
    if (type === 'TransactionCreated') {
      const { amount } = data as { amount: string };
      return { ...day, revenue: fromMicros(sumToMicros(day.revenue) + sumToMicros(amount)) };
    }
    const { billedSeconds } = data as { billedSeconds: number };
    return { ...day, calls: day.calls + 1, billedSeconds: day.billedSeconds + billedSeconds };
  },
});
