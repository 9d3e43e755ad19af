// Compatibility between versions as they are stored, for readers that see them so: topics, archives, tails. The modes have the
// names and the meaning that they have in a schema registry (Confluent's).

import type { DescribedEvent } from './describe.ts';
import type { LockedEvent } from './lock-file.ts';
import { breaksBetween } from './subset.ts';

export type Mode =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE';

export const modes: readonly Mode[] = [
  'NONE',
  ...(['BACKWARD', 'BACKWARD_TRANSITIVE', 'FORWARD', 'FORWARD_TRANSITIVE', 'FULL', 'FULL_TRANSITIVE'] as const),
];

export interface ModeBreak {
  readonly version: number;
  readonly path?: string | undefined;
  readonly reason: string;
}

/** At most so many of one pair of versions. */
const breaksMost = 5;

/**
 * Of each version and the one before, or (transitive) each one before. BACKWARD: readers by the newer schema read what was
 * written by the older one; FORWARD: readers by the older one read what is written by the newer one.
 */
export function breaksOfMode(mode: Mode, { lowest }: DescribedEvent, { versions }: LockedEvent): ModeBreak[] {
  if (mode === 'NONE') return [];
  const numbers = [...versions.keys()].filter((number) => number >= lowest).sort((a, b) => a - b);
  return numbers.flatMap((version, i) => {
    const before = mode.endsWith('TRANSITIVE') ? numbers.slice(0, i) : numbers.slice(Math.max(0, i - 1), i);
    return before.flatMap((older) => [
      ...(mode.startsWith('FORWARD') ? [] : between(versions, older, version, version, `BACKWARD: version ${older}`)),
      ...(mode.startsWith('BACKWARD')
        ? []
        : between(versions, version, older, version, `FORWARD: read by version ${older}`)),
    ]);
  });
}

function between(
  versions: LockedEvent['versions'],
  from: number,
  to: number,
  version: number,
  pair: string,
): ModeBreak[] {
  const [written, read] = [versions.get(from)!, versions.get(to)!];
  if (!('schema' in written && 'schema' in read)) {
    return [{ version, reason: `${pair}, cannot tell: one of them has no JSON Schema` }];
  }
  const found = breaksBetween(written.schema, read.schema).sort((a, b) => a.path.length - b.path.length);
  return found.slice(0, breaksMost).map(({ path, reason }) => ({ version, path, reason: `${pair}, ${reason}` }));
}
