// The effect that the chaos test counts by: an aggregate's events, in the event's own transaction.
import type { EffectTransaction } from '../../src/index.ts';

/** Count an event of an aggregate: half of them in a table of PostgreSQL, if there is one. What had been counted before. */
export async function count(
  tx: EffectTransaction,
  aggregateId: string,
  version: number,
  hasDatabase: boolean,
): Promise<number> {
  if (!hasDatabase || aggregateId.charCodeAt(1) % 2 === 0) {
    const counted = (await tx.get<number>('counts', aggregateId)) ?? 0;
    tx.put('counts', aggregateId, version);
    return counted;
  }
  const client = await tx.client();
  const { rows } = await client.query('select version from counts where aggregate_id = $1', [aggregateId]);
  await client.query(
    'insert into counts values ($1, $2) on conflict (aggregate_id) do update set version = excluded.version',
    [aggregateId, version],
  );
  return rows[0]?.version ?? 0;
}
