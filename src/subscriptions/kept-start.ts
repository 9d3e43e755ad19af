// Where a subscription begins in this run: by its checkpoint, and by entries of what has been done above it since.
import { TrunklineError } from '../base/errors.ts';
import { checkpointTable, keptCheckpoint } from '../handler-state/checkpoint.ts';
import { doneAbove } from '../handler-state/completion-records.ts';
import type { From } from './handlers.ts';
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
  { name: today, keptAs: name }: Pick<SubscriptionSettings, 'name' | 'keptAs'>,
  from: Exclude<From, 'now'>,
  { handlerState, starts, volatile }: Pick<SubscriptionParts, 'handlerState' | 'starts' | 'volatile'>,
): Promise<KeptStart> {
  if (volatile) {
    const low = await starts.firstLow(name, from, volatile);
    return { isNew: true, low, done: [], entries: [], isPaused: false };
  }
  if (today !== name && (await handlerState.get(checkpointTable, today)) !== undefined) throw keptTwice(today, name);
  const kept = starts.kept(name, keptCheckpoint(await handlerState.get(checkpointTable, name), name));
  const low = kept?.low ?? (await starts.firstLow(name, from, volatile));
  const { done, entries } = await doneAbove(handlerState, name, low, kept?.done ?? []);
  return { isNew: kept === undefined, low, done, entries, isPaused: kept?.paused ?? false };
}

/** Which of the two counts, only its owner knows: what the one has handled, the other has not. */
function keptTwice(name: string, keptAs: string): TrunklineError {
  const reason = `a checkpoint is kept as '${keptAs}', and one as '${name}': forget one of them, or leave renamedFrom out`;
  return new TrunklineError('InvalidOptions', { option: 'renamedFrom', reason });
}
