// What the handler of the killed service does, and that of the run that checks: counts each aggregate's events, each once.
import type { EffectTransaction, StoredEvent } from '../../src/index.ts';
import { count } from './counts.ts';

/** Fails for every seventh event of one aggregate, and for one that has been counted otherwise. */
export async function handlePoint(event: StoredEvent, tx: EffectTransaction, hasDatabase: boolean): Promise<void> {
  const { aggregateId, version } = event;
  const counted = await count(tx, aggregateId, version, hasDatabase);
  if (counted !== version - 1) throw new Error(`counted ${counted} before version ${version}`);
  if (aggregateId === 'c7' && version === 7) throw new Error('parked on purpose');
}
