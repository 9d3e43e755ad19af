// What an event makes of a projection's rows, wherever those lie; and when rows that are being built have come as far as
// those that are shown.

import { checkKey } from '../handler-state/state-key.ts';
import type { StoredEvent } from '../model/event.ts';
import type { RunningSubscription } from '../subscriptions/subscription.ts';
import { deepFreeze, toPlain } from '../wire/payload.ts';
import type { ProjectionDefinition } from './projection.ts';

const none: readonly string[] = [];

/** Of the rows that an event changes, as the user's code gives them: each goes through {@link checkRowKey} before it is used. */
export function keysGiven<Row>({ key }: ProjectionDefinition<Row>, event: StoredEvent): readonly string[] {
  const wanted = key ? key(event) : event.aggregateId;
  if (wanted === undefined || wanted === null) return none;
  if (!Array.isArray(wanted)) return [wanted as string];
  return wanted.length > 1 ? [...new Set(wanted)] : wanted;
}

/** @throws InvalidId */
export const checkRowKey = (key: string): void => checkKey('row key', key);

/** The same, checked. @throws InvalidId */
export function keysOf<Row>(definition: ProjectionDefinition<Row>, event: StoredEvent): readonly string[] {
  const keys = keysGiven(definition, event);
  for (const one of keys) checkRowKey(one);
  return keys;
}

/** The row after an event; undefined: there is none any more. Frozen: no code can change its parts. */
export function nextRow<Row>(
  { apply, init }: ProjectionDefinition<Row>,
  row: Row | undefined,
  event: StoredEvent,
  key: string,
): Row | undefined {
  const next = apply(row ?? deepFreeze(init(key)), event, key);
  return next === undefined ? undefined : (deepFreeze(toPlain(next, 'row')) as Row);
}

/** Resolves when a subscription has come up to a target that goes on moving. */
export async function catchUp(subscription: RunningSubscription, target: () => number): Promise<void> {
  for (let position = target(); ; position = target()) {
    await subscription.caughtUpTo(position, { timeoutMs: 2 ** 31 - 1 });
    if (subscription.position >= target()) return;
  }
}
