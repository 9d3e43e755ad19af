// Which events a subscription took in its last run, kept beside its checkpoint: one that takes more in the next run has
// skipped those before its checkpoint, and nothing else would say so.

import { checked, listOf, nullable, object, text } from '../base/json.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { recordAt } from '../handler-state/records.ts';
import type { SubscriptionSettings } from './settings.ts';

export const filterTable = 'filters';

/** null: all. Sorted. (`where` is code, and cannot be compared.) */
interface FilterRecord {
  types: string[] | null;
  aggregates: string[] | null;
}

const filterShape = object<FilterRecord>({ types: nullable(listOf(text)), aggregates: nullable(listOf(text)) });
const filterOf = (value: unknown): FilterRecord => checked(value, filterShape, 'the filter of a subscription');

function filterRecord({ types, aggregates }: SubscriptionSettings): FilterRecord {
  return { types: types ? [...types].sort() : null, aggregates: aggregates ? [...aggregates].sort() : null };
}

/** What `now` takes that `before` did not; undefined: nothing. */
function widenedBy(
  before: FilterRecord,
  now: FilterRecord,
): Partial<Record<'types' | 'aggregates', string[] | '*'>> | undefined {
  const types = added(before.types, now.types);
  const aggregates = added(before.aggregates, now.aggregates);
  if (types === undefined && aggregates === undefined) return undefined;
  return { ...(types && { types }), ...(aggregates && { aggregates }) };
}

function added(before: string[] | null, now: string[] | null): string[] | '*' | undefined {
  if (before === null) return undefined;
  if (now === null) return '*';
  const more = now.filter((name) => !before.includes(name));
  return more.length > 0 ? more : undefined;
}

/** An event type that has been renamed since is no other one. */
const namesOfToday = (types: readonly string[], { evolution }: SubscriptionSettings): string[] => [
  ...evolution.names(types, undefined)!.today,
];

/** Keep the filter of this run; `low`: the checkpoint of an earlier one. `onWidened` is called with what that has skipped. */
export async function compareFilter(
  settings: SubscriptionSettings,
  handlerState: StateTables,
  low: number | undefined,
  onWidened: (details: Record<string, unknown>) => void,
): Promise<void> {
  const { name } = settings;
  const filter = filterRecord(settings);
  const before = await recordAt(handlerState, filterTable, name, filterOf);
  const known = before && { ...before, types: before.types && namesOfToday(before.types, settings) };
  if (known !== undefined && low !== undefined && low > 0) {
    const more = widenedBy(known, filter);
    if (more !== undefined) onWidened({ handler: name, ...more, skippedUpTo: low });
  }
  if (JSON.stringify(before) !== JSON.stringify(filter)) handlerState.stage(filterTable, name, filter);
}
