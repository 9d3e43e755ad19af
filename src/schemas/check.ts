// All that `trunkline schemas check` finds: what was published and has changed, what the lock file lacks, samples that cannot be
// read any more, versions that break a compatibility mode; and what could not be checked, or is good to know.

import type { AnyAggregate } from '../model/aggregate.ts';
import { type DescribedAggregate, describeAggregates } from './describe.ts';
import type { Finding } from './finding.ts';
import type { Lock } from './lock-file.ts';
import { breaksOfMode, type Mode } from './modes.ts';
import { openObjects } from './open-objects.ts';
import { reconcile } from './reconcile.ts';
import { namesOfToday } from './taken-over.ts';
import { checkUpcasting } from './upcasting.ts';

export interface Checked {
  readonly errors: readonly Finding[];
  readonly notes: readonly Finding[];
}

export function checkSchemas(aggregates: readonly AnyAggregate[], before: Lock, mode: Mode): Checked {
  const described = describeAggregates(aggregates);
  const { broken, added, lock } = reconcile(described, before, new Set());
  const upcasting = checkUpcasting(aggregates, lock);
  const unaccepted = added.map((one) => ({ ...one, reason: `${one.reason}: run trunkline schemas accept` }));
  return {
    errors: [...broken, ...unaccepted, ...upcasting.errors, ...brokenModes(described, lock, mode)],
    notes: [...upcasting.notes, ...withoutSchema(described, lock), ...openEvents(described)],
  };
}

function brokenModes(described: readonly DescribedAggregate[], lock: Lock, mode: Mode): Finding[] {
  return described.flatMap(({ name: aggregate, storedName, events }) =>
    events.flatMap((event) => {
      const locked = lock.get(storedName)!.get(event.type)!;
      const at = { rule: 'mode', aggregate, event: event.type } as const;
      return breaksOfMode(mode, event, locked).map((one) => ({ ...at, ...one }));
    }),
  );
}

/** What nothing here can say anything of. `lock`: with all that the code has. */
export function withoutSchema(described: readonly DescribedAggregate[], lock: Lock): Finding[] {
  const names = namesOfToday(described);
  return [...lock].flatMap(([stored, events]) =>
    [...events].flatMap(([event, { past, versions }]) =>
      [...versions].flatMap(([version, locked]): Finding[] =>
        'schema' in locked || locked.isRetired || past === 'retired'
          ? []
          : [
              {
                rule: 'no schema',
                aggregate: names.get(stored) ?? stored,
                event,
                version,
                reason: `not checked: ${locked.reason}`,
              },
            ],
      ),
    ),
  );
}

function openEvents(described: readonly DescribedAggregate[]): Finding[] {
  return described.flatMap(({ name: aggregate, events }) =>
    events.flatMap(({ type: event, versions, schemaVersion: version }): Finding[] => {
      const { payload } = versions.at(-1)!;
      const [path] = 'schema' in payload ? openObjects(payload.schema) : [];
      const reason =
        'its objects are open: they may have fields that the schema does not name, so a schema registry takes the removal ' +
        'of a field, and refuses each field that is added';
      return path === undefined ? [] : [{ rule: 'open', aggregate, event, version, path, reason }];
    }),
  );
}
