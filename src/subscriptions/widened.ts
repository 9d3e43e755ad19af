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

function filterRecord({ wanted, aggregates, evolution }: SubscriptionSettings): FilterRecord {
  const types = wanted && [...wanted.today].flatMap((type) => [type, ...evolution.sourcesOf(type)]);
  return { types: types ? [...new Set(types)].sort() : null, aggregates: storedAggregates({ aggregates, evolution }) };
}

/** By the names that stay when a type is renamed. */
const storedAggregates = ({ aggregates, evolution }: Pick<SubscriptionSettings, 'aggregates' | 'evolution'>) =>
  aggregates ? [...aggregates].map((type) => evolution.storedType(type)).sort() : null;

/** What `now` takes that `before` did not; undefined: nothing. */
function widenedBy(
  before: FilterRecord,
  now: SubscriptionSettings,
): Partial<Record<'types' | 'aggregates', string[] | '*'>> | undefined {
  const types = before.types === null ? undefined : now.wanted === undefined ? '*' : newTypes(before.types, now);
  const aggregates = added(before.aggregates, storedAggregates(now));
  if (types === undefined && aggregates === undefined) return undefined;
  return { ...(types && { types }), ...(aggregates && { aggregates }) };
}

/** A name that an event had before, or that it was made from, is no other event; where that was not taken, it has been skipped. */
function newTypes(before: readonly string[], { wanted, evolution }: SubscriptionSettings): string[] | undefined {
  const more = [...wanted!.today].flatMap((type) => {
    const sources = evolution.sourcesOf(type);
    const isKnown = [type, ...sources].some((name) => before.includes(name));
    return isKnown ? sources.filter((name) => !before.includes(name)) : [type];
  });
  return more.length > 0 ? more : undefined;
}

function added(before: string[] | null, now: string[] | null): string[] | '*' | undefined {
  if (before === null) return undefined;
  if (now === null) return '*';
  const more = now.filter((name) => !before.includes(name));
  return more.length > 0 ? more : undefined;
}

/** Keep the filter of this run; `low`: the checkpoint of an earlier one. `onWidened` is called with what that has skipped. */
export async function compareFilter(
  settings: SubscriptionSettings,
  handlerState: StateTables,
  low: number | undefined,
  onWidened: (details: Record<string, unknown>) => void,
): Promise<void> {
  const { name, keptAs } = settings;
  const filter = filterRecord(settings);
  const before = await recordAt(handlerState, filterTable, keptAs, filterOf);
  if (before !== undefined && low !== undefined && low > 0) {
    const more = widenedBy(before, settings);
    if (more !== undefined) onWidened({ handler: name, ...more, skippedUpTo: low });
  }
  if (JSON.stringify(before) !== JSON.stringify(filter)) handlerState.stage(filterTable, keptAs, filter);
}
