// What the log of the crash tests holds at each position: always the same, so that a store can be checked against it.
import type { Group } from './sample.ts';

const aggregates = 50;

/** Position p is version v of aggregate a: 50 aggregates take turns. */
export function killedGroups(from: number, count: number): Group[] {
  return Array.from({ length: count }, (_, i): Group => {
    const position = from + i;
    const version = Math.floor((position - 1) / aggregates) + 1;
    return [{ id: idAt(position), version, name: `Type${position % 3}`, at: position, data: { position } }];
  });
}

export const idAt = (position: number): string => `id-${(position - 1) % aggregates}`;
export const allIds: string[] = Array.from({ length: aggregates }, (_, i) => `id-${i}`);
