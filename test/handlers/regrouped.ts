// What the handler of the killed service does, and that of the run that checks: counts each event of its batch.
import type { Delivery, StoredEvent } from '../../src/index.ts';

export const eventsRaised = 12;

export async function countEach(events: readonly StoredEvent[], { tx }: Delivery): Promise<void> {
  const client = await tx.client();
  for (const { version } of events) await client.query('insert into counted values ($1)', [version]);
}
