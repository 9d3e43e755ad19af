// `rehearse`, which loads its work when it is called: every import of the test kit comes by here.

import type { Rehearsal, RehearsalOptions } from './contract.ts';

/**
 * Fold a stored history by the definitions of two releases, and say where their states differ. Reads only.
 *
 * ```ts
 * const { different, differences } = await rehearse({ dataDir: './data', old: [OrderV1], new: [OrderV2] });
 * ```
 * @throws InvalidOptions, DataDirUnreadable, StoreDamaged, StoreUnavailable and those of the store's schema
 */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  return (await import('./run.ts')).runRehearsal(options);
}
