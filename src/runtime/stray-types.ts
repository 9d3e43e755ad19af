// Aggregates that are stored by a name of a type which is not the one that the type is stored by: written by a start without
// `renamedFrom`, or with another first name. No command would reach them, and readers would take them for the others.

import { TrunklineError } from '../base/errors.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { namesOf, storedTypeOf } from '../model/aggregate-names.ts';

/** `holds`: whether the store has aggregates of a type, by its stored name. @throws InvalidOptions, what `holds` rejects with */
export async function checkStrayTypes(
  aggregates: readonly AnyAggregate[],
  holds: (type: string) => Promise<boolean>,
): Promise<void> {
  for (const aggregate of aggregates) {
    const stored = storedTypeOf(aggregate);
    for (const name of namesOf(aggregate)) {
      if (name === stored || !(await holds(name))) continue;
      const reason =
        `the store has aggregates of '${name}', and this type is stored as '${stored}': the first name in renamedFrom must be the one ` +
        'that its aggregates are stored by';
      throw new TrunklineError('InvalidOptions', { option: `aggregates.${aggregate.name}.renamedFrom`, reason });
    }
  }
}
