// Samples of each published version through the functions that a release would read them by: what one of them throws at, and
// what the newest validator refuses, is found here and not in production.

import { isDeepStrictEqual } from 'node:util';
import { isError } from '../base/errors.ts';
import { tame } from '../base/tame.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import { type AggregateEvolution, evolutionOf, type StoredName } from '../model/evolution.ts';
import type { EventPlace } from '../model/unreadable-event.ts';
import type { Finding } from './finding.ts';
import type { Lock } from './lock-file.ts';
import { samplesOf } from './samples.ts';

/** At most so many of one version are reported. */
const reasonsMost = 3;
const shownMost = 160;

export interface Upcasting {
  readonly errors: readonly Finding[];
  readonly notes: readonly Finding[];
}

/** `lock`: with all that the code has. */
export function checkUpcasting(aggregates: readonly AnyAggregate[], lock: Lock): Upcasting {
  const errors: Finding[] = [];
  const notes: Finding[] = [];
  for (const definition of aggregates) {
    const evolution = evolutionOf(definition);
    for (const [event, { versions }] of lock.get(storedTypeOf(definition)) ?? []) {
      const known = evolution.names.get(event);
      for (const [version, locked] of versions) {
        if (locked.isRetired || !('schema' in locked) || !runsFunctions(known, version)) continue;
        const at = { aggregate: definition.name as string, event, version };
        const samples = samplesOf(locked.schema);
        const reason = 'no sample of its JSON Schema can be made here, so its upcasters were not run: test them';
        if (samples.length === 0) notes.push({ rule: 'no samples', ...at, reason });
        for (const reason of failures(samples, reading(evolution, known, at)))
          errors.push({ rule: 'upcasting', ...at, reason });
      }
    }
  }
  return { errors, notes };
}

type Known = StoredName & { kind: 'event' | 'split' };

function runsFunctions(known: StoredName | undefined, version: number): known is Known {
  if (known?.kind === 'split') return true;
  return known?.kind === 'event' && version >= known.spec.past.lowest && version < known.spec.schemaVersion;
}

function reading(
  evolution: AggregateEvolution,
  known: Known,
  { aggregate, version }: { aggregate: string; version: number },
): (sample: unknown) => unknown {
  const place: EventPlace = { id: '', aggregateType: aggregate, aggregateId: 'sample', version: 1, position: 0 };
  if (known.kind === 'split') return (sample) => evolution.split(known, version, sample, place);
  return (sample) => evolution.upcast(known.type, known.spec, version, sample, place);
}

/** Each reason once, with the first sample that shows it. */
function failures(samples: readonly unknown[], read: (sample: unknown) => unknown): string[] {
  const found = new Map<string, string>();
  for (const sample of samples) {
    const reason = failureOf(sample, read);
    if (reason !== undefined && !found.has(reason))
      found.set(reason, `${reason}; with ${tame(JSON.stringify(sample), shownMost)}`);
    if (found.size === reasonsMost) break;
  }
  return [...found.values()];
}

function failureOf(sample: unknown, read: (sample: unknown) => unknown): string | undefined {
  try {
    const made = read(sample);
    return isDeepStrictEqual(made, read(sample)) ? undefined : 'what has become of it is another thing each time';
  } catch (error) {
    return isError(error, 'UpcastFailed') ? error.details.reason : tame(error);
  }
}
