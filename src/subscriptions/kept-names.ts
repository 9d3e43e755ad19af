// The names of a subscription, and the one that it is kept as. Which of two checkpoints counts, only their owner knows: what the one
// has handled, the other has not, and effects would happen twice. So what does not fit together is refused when it loads.
//
// A subscription that was renamed leaves a note under each of its other names: one of those without `renamedFrom` would begin again.

import { TrunklineError } from '../base/errors.ts';
import { checked, text } from '../base/json.ts';
import { checkpointTable } from '../handler-state/checkpoint.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { recordAt, recordsOf } from '../handler-state/records.ts';
import type { SubscriptionSettings } from './settings.ts';

const nameTable = 'names';

const keptAsIn = (value: unknown): string => checked(value, text, 'the note of a name of a subscription');

/** @throws InvalidOptions: another name of it has a checkpoint */
export async function checkNames(
  { name, names, keptAs }: Pick<SubscriptionSettings, 'name' | 'names' | 'keptAs'>,
  handlerState: StateTables,
): Promise<void> {
  const has = async (one: string): Promise<boolean> => (await handlerState.get(checkpointTable, one)) !== undefined;
  for (const one of names) {
    if (one === keptAs) continue;
    if (await has(one)) {
      refuse(
        `'${one}' has a checkpoint of its own, and this subscription is kept as '${keptAs}': put the name first that it is ` +
          `kept as, or forget one of the two (subscriptions.forget)`,
      );
    }
  }
  const noted = await recordAt(handlerState, nameTable, name, keptAsIn);
  if (noted !== undefined && noted !== keptAs && (await has(noted))) {
    refuse(`'${name}' is kept as '${noted}': give that name first, renamedFrom: ['${noted}', …], or forget '${noted}'`);
  }
  for (const one of names) {
    if (one === keptAs) continue;
    if ((await recordAt(handlerState, nameTable, one, keptAsIn)) !== keptAs) handlerState.stage(nameTable, one, keptAs);
  }
}

/** What was kept under this name is forgotten: so are the notes that lead to it. */
export async function forgetNames(keptAs: string, handlerState: StateTables): Promise<void> {
  for await (const { key, record } of recordsOf(handlerState, nameTable, keptAsIn)) {
    if (record === keptAs) handlerState.stage(nameTable, key, undefined);
  }
}

function refuse(reason: string): never {
  throw new TrunklineError('InvalidOptions', { option: 'renamedFrom', reason });
}
