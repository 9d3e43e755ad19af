// Where a subscription begins in this run: by its checkpoint, and by entries of what has been done above it since.
import { checkpointTable, keptCheckpoint } from '../handler-state/checkpoint.ts';
import { doneAbove } from '../handler-state/completion-records.ts';
import type { From } from './handlers.ts';
import { checkNames } from './kept-names.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { SubscriptionParts } from './subscription-parts.ts';

export interface KeptStart {
  /** It has no checkpoint yet. */
  readonly isNew: boolean;
  /** Everything up to here is done. */
  readonly low: number;
  /** Ranges above it that are done. */
  readonly done: readonly number[];
  /** Keys of entries that say so: they go with the checkpoint that does. */
  readonly entries: readonly string[];
  readonly isPaused: boolean;
}

/** `from`: where it begins without a checkpoint. */
export async function keptStart(
  settings: Pick<SubscriptionSettings, 'name' | 'names' | 'keptAs'>,
  from: Exclude<From, 'now'>,
  {
    handlerState,
    starts,
    volatile,
    onNothingKept,
  }: Pick<SubscriptionParts, 'handlerState' | 'starts' | 'volatile' | 'onNothingKept'>,
): Promise<KeptStart> {
  const { keptAs: name } = settings;
  if (volatile) {
    const low = await starts.firstLow(name, from, volatile);
    return { isNew: true, low, done: [], entries: [], isPaused: false };
  }
  await checkNames(settings, handlerState);
  const kept = starts.kept(name, keptCheckpoint(await handlerState.get(checkpointTable, name), name));
  if (kept === undefined && settings.names.length > 1) {
    const [other] = await handlerState.range(checkpointTable, { limit: 1 });
    if (other !== undefined) onNothingKept({ handler: settings.name, names: settings.names });
  }
  const low = kept?.low ?? (await starts.firstLow(name, from, volatile));
  const { done, entries } = await doneAbove(handlerState, name, low, kept?.done ?? []);
  return { isNew: kept === undefined, low, done, entries, isPaused: kept?.paused ?? false };
}
