// What selects dead letters, checked at the edge. A condition that is misspelt, or undefined, must never select everything.

import { checkAggregate, checkId, checkInteger, invalid } from '../base/checks.ts';
import { checkFields, type Fields, fieldsOf } from '../base/known-fields.ts';
import { checkHandlerName } from '../handler-state/handler-name.ts';
import type { AnyAggregate } from '../model/aggregate.ts';

/** Which dead letters; all conditions must hold. */
export interface DeadLetterQuery {
  handler?: string | undefined;
  aggregate?: AnyAggregate | string | undefined;
  aggregateId?: string | undefined;
  /** Event type. */
  type?: string | undefined;
  reason?: 'failed' | 'behind' | undefined;
  /** Parked so long ago or longer, milliseconds. */
  olderThanMs?: number | undefined;
  /** At most so many; default 1,000. */
  limit?: number | undefined;
}

/** Which dead letters are changed: some condition, or `all: true`. */
export interface DeadLetterSelection extends DeadLetterQuery {
  /** Of all handlers. Not beside conditions. */
  all?: true | undefined;
}

const conditions = ['handler', 'aggregate', 'aggregateId', 'type', 'reason', 'olderThanMs'] as const;
const queryFields = fieldsOf<DeadLetterQuery>({
  handler: 'text',
  aggregate: true,
  aggregateId: true,
  type: 'text',
  reason: 'text',
  olderThanMs: true,
  limit: true,
});
/** Of what selects letters that are changed. */
export const selectionFields: Fields = fieldsOf<Record<keyof DeadLetterQuery | 'all', unknown>>({
  ...queryFields.kinds,
  all: true,
} as never);
const LETTERS_LIMIT = 10_000_000; // as many as there can be of one handler

/** @throws InvalidOptions, InvalidId */
export function checkLetterQuery(query: DeadLetterQuery, known: Fields = queryFields): void {
  checkFields('deadLetters', query, known);
  for (const condition of conditions) {
    if (Object.hasOwn(query, condition) && query[condition] === undefined) {
      invalid(condition, undefined, 'is undefined, and would select everything: leave it out, or say what it is');
    }
  }
  const { handler, aggregate, aggregateId, type, reason, olderThanMs, limit } = query;
  if (handler !== undefined) checkHandlerName(handler);
  if (aggregate !== undefined) checkAggregate(aggregate);
  if (aggregateId !== undefined) checkId('aggregate id', aggregateId);
  if (type !== undefined) checkId('event type', type);
  if (reason !== undefined && reason !== 'failed' && reason !== 'behind') {
    invalid('reason', reason, "must be 'failed' or 'behind'");
  }
  if (olderThanMs !== undefined && !(Number.isFinite(olderThanMs) && olderThanMs >= 0)) {
    invalid('olderThanMs', olderThanMs, 'must be milliseconds, 0 or more');
  }
  if (limit !== undefined) checkInteger('limit', limit, 1, LETTERS_LIMIT);
}

/** @throws InvalidOptions, InvalidId */
export function checkChange(what: string, which: string | DeadLetterSelection, options: { dryRun?: boolean }): void {
  checkFields(what, options, ['dryRun']);
  const { dryRun } = options;
  if (dryRun !== undefined && typeof dryRun !== 'boolean') invalid('dryRun', dryRun, 'must be true or false');
  if (typeof which === 'string') return;
  if (which === undefined || which === null) {
    invalid(what, which, 'must name a letter, or select some: by conditions, or by `all: true`');
  }
  checkLetterQuery(which, selectionFields);
  const all = Object.hasOwn(which, 'all') ? which.all : undefined; // what is inherited selects nothing
  const hasConditions = conditions.some((condition) => Object.hasOwn(which, condition));
  if (all !== undefined && all !== true) invalid('all', all, 'must be true, or not be there');
  if (all && hasConditions) invalid('all', all, 'stands beside conditions: leave out the one or the others');
  if (!all && !hasConditions) invalid('all', all, 'is missing: give a condition, or say `all: true`');
}
