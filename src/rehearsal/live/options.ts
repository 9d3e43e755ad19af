// What a live rehearsal is given, checked and taken over as it is in the call.

import { checkFunction, checkInteger, checkSignal, invalid } from '../../base/checks.ts';
import { checkFields, fieldsOf, taken } from '../../base/known-fields.ts';
import { checkModule } from '../../base/user-module.ts';
import { checkAggregates } from '../../model/aggregates-option.ts';
import { isEntityEvents } from '../../model/entity-events.ts';
import type { LiveRehearsalOptions } from './contract.ts';

const fields = fieldsOf<LiveRehearsalOptions>({
  old: 'list',
  new: 'list',
  share: true,
  ignore: 'list',
  budgetMicros: true,
  context: 'text',
  maxErrorShare: true,
  limit: true,
  on: 'function',
  signal: true,
});

/** `own`: what the runtime has. @throws InvalidOptions */
export function checkLiveOptions(
  given: LiveRehearsalOptions,
  own: { readonly context: string | undefined; readonly moduleRoots: readonly string[] | undefined },
): LiveRehearsalOptions {
  checkFields('rehearse', given, fields);
  const options = taken(given, fields);
  const { share, budgetMicros, context, maxErrorShare, limit, on, signal } = options;
  checkShare('share', share);
  checkShare('maxErrorShare', maxErrorShare);
  if (budgetMicros !== undefined) checkInteger('budgetMicros', budgetMicros, 1, 1_000_000);
  if (limit !== undefined) checkInteger('limit', limit, 0, 100_000);
  if (on !== undefined) checkFunction('on', on);
  if (signal !== undefined) checkSignal(signal);
  if (context !== undefined) checkModule('context', context, own.moduleRoots);
  else if (own.context !== undefined) {
    const reason = "is missing: the runtime's own may reach the outside; name a module for rehearsed commands";
    invalid('context', undefined, reason);
  }
  checkAggregates(options.new, own.moduleRoots, 'new');
  for (const { name } of options.new.filter(isEntityEvents))
    invalid('new', name, 'is made by defineEntityEvents(), which has no commands');
  return options;
}

function checkShare(option: string, share: number | undefined): void {
  const isShare = share === undefined || (typeof share === 'number' && share >= 0 && share <= 1);
  if (!isShare) invalid(option, share, 'must be a share, 0 to 1');
}
