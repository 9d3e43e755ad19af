// Aggregates for tests of schemas: only their events count.
import { type AnyAggregate, defineAggregate, type EventSpec } from 'trunkline';
import { type Checked, checkSchemas } from '../../src/schemas/check.ts';
import { describeAggregates } from '../../src/schemas/describe.ts';
import { findingLine } from '../../src/schemas/finding.ts';
import type { Lock } from '../../src/schemas/lock-file.ts';
import type { Mode } from '../../src/schemas/modes.ts';
import { reconcile } from '../../src/schemas/reconcile.ts';

export const customer = (events: Record<string, EventSpec<any, any>>, retired: string[] = []): AnyAggregate[] =>
  named(['customer'], events, retired);

/** `names`: today's, then those that the type had, the oldest first. */
export function named(
  [name, ...renamedFrom]: [string, ...string[]],
  events: Record<string, EventSpec<any, any>>,
  retired: string[] = [],
): AnyAggregate[] {
  const evolve = Object.fromEntries(Object.keys(events).map((type) => [type, (state: unknown) => state]));
  const spec = { module: import.meta.url, state: () => 0, events, evolve: evolve as any, commands: {}, retired };
  return [defineAggregate(name, { ...spec, ...(renamedFrom.length > 0 && { renamedFrom }) })];
}

/** What `accept` writes, and what it says. */
export function accepted(code: AnyAggregate[], lock: Lock = new Map(), ...force: string[]) {
  const { broken, added, lock: next } = reconcile(describeAggregates(code), lock, new Set(force));
  return { lock: next, broken: broken.map(findingLine), added: added.map(findingLine) };
}

export const checked = (code: AnyAggregate[], lock: Lock, mode: Mode = 'NONE'): Checked =>
  checkSchemas(code, lock, mode);

export const errors = (code: AnyAggregate[], lock: Lock, mode?: Mode): string[] =>
  checked(code, lock, mode).errors.map(findingLine);
