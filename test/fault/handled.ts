// A durable handler that records what it handles: in the transaction of each event it counts the aggregate's events, and
// keeps the event under that number. So its effects, read by key, are what it has done, in the order of each aggregate.
import { setTimeout as pause } from 'node:timers/promises';
import type { Runtime, StoredEvent, SubscribeOptions } from '../../src/index.ts';
import { type Held, heldFrom } from './audit.ts';

const [counts, table] = ['counts', 'handled'];
const digits = 8;

/** `onHandled`: before the effects are committed. */
export function recorder(onHandled: () => void): SubscribeOptions {
  return {
    name: 'recorder',
    retry: { minDelayMs: 1 },
    async handle(event: StoredEvent, { tx }) {
      const key = `${event.aggregateType}/${event.aggregateId}`;
      const count = ((await tx.get<number>(counts, key)) ?? 0) + 1;
      tx.put(counts, key, count);
      tx.put(table, `${key}/${String(count).padStart(digits, '0')}`, heldFrom(event));
      if (count % 8 === 0) await pause(1);
      onHandled();
    },
  };
}

export async function readHandled(runtime: Runtime): Promise<Held[]> {
  return (await runtime.effects.range(table, { limit: Number.MAX_SAFE_INTEGER })).map(({ value }) => value as Held);
}
