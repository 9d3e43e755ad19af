// A renamed aggregate in the lock file. It stands there by the name that its events are stored by, which stays; what was accepted
// under another of its names, as before `renamedFrom` was written, is taken over and not lost.

import { namesOf } from '../model/aggregate-names.ts';
import type { DescribedAggregate } from './describe.ts';
import { canonical } from './document.ts';
import type { Lock, LockedEvent, LockedVersion } from './lock-file.ts';

export interface TakenOver {
  readonly events: ReadonlyMap<string, LockedEvent>;
  /** Names in the lock file whose events go to the stored name. */
  readonly from: readonly string[];
  /** What was accepted under two names, each time with another schema: that of the stored name is kept. */
  readonly twice: readonly { readonly event: string; readonly version: number; readonly name: string }[];
}

/** All that was accepted under any name of it. */
export function takenOver(aggregate: DescribedAggregate, lock: Lock): TakenOver {
  const events = new Map(lock.get(aggregate.storedName));
  const from = everyName(aggregate).filter((name) => name !== aggregate.storedName && lock.has(name));
  const twice: { event: string; version: number; name: string }[] = [];
  for (const name of from) {
    for (const [event, other] of lock.get(name)!) {
      const first = events.get(event);
      for (const [version, one] of first?.versions ?? []) {
        const second = other.versions.get(version);
        if (second !== undefined && textOf(one) !== textOf(second)) twice.push({ event, version, name });
      }
      events.set(event, first === undefined ? other : both(first, other));
    }
  }
  return { events, from, twice };
}

export const everyName = ({ name, formerNames }: DescribedAggregate): string[] =>
  namesOf({ name, renamedFrom: formerNames });

/** Today's name by each name in the lock file. */
export const namesOfToday = (described: readonly DescribedAggregate[]): ReadonlyMap<string, string> =>
  new Map(described.flatMap((one) => everyName(one).map((name) => [name, one.name] as const)));

const both = (first: LockedEvent, other: LockedEvent): LockedEvent => ({
  ...first,
  versions: new Map([...other.versions, ...first.versions]),
});

const textOf = (version: LockedVersion): string => ('schema' in version ? canonical(version.schema) : '');
