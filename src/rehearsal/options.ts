// What a rehearsal is given, checked and taken over as it is in the call.

import { checkDate, checkFunction, checkId, checkInteger, checkSignal, invalid } from '../base/checks.ts';
import { checkFields, fieldsOf, taken } from '../base/known-fields.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT } from '../base/name-limits.ts';
import type { RehearsalOptions } from './contract.ts';

const fields = fieldsOf<RehearsalOptions>({
  dataDir: 'text',
  store: true,
  old: 'list',
  new: 'list',
  aggregateType: true,
  aggregateId: true,
  since: true,
  until: true,
  sample: true,
  ignore: 'list',
  limit: true,
  from: 'object',
  signal: true,
  onProgress: 'function',
});
const fromFields = fieldsOf<NonNullable<RehearsalOptions['from']>>({ aggregateType: true, aggregateId: true });

/** @throws InvalidOptions, InvalidId */
export function checkOptions(given: RehearsalOptions): RehearsalOptions {
  checkFields('rehearse', given, fields);
  const options = taken(given, fields);
  const { aggregateType: type, aggregateId: id, since, until, sample, limit, from, signal, onProgress } = options;
  if (type !== undefined) checkId('aggregateType', type, AGGREGATE_TYPE_BYTES_LIMIT);
  if (id !== undefined) checkId('aggregateId', id);
  if (id !== undefined && type === undefined) invalid('aggregateId', undefined, 'needs `aggregateType`');
  if (since !== undefined) checkDate('since', since);
  if (until !== undefined) checkDate('until', until);
  if (since !== undefined && until !== undefined && since >= until) {
    invalid('since', since, 'must be before `until`: no event lies between them');
  }
  const isShare = sample === undefined || (typeof sample === 'number' && sample > 0 && sample <= 1);
  if (!isShare) invalid('sample', sample, 'must be a share above 0 and up to 1');
  if (limit !== undefined) checkInteger('limit', limit, 0, 100_000);
  if (signal !== undefined) checkSignal(signal);
  if (onProgress !== undefined) checkFunction('onProgress', onProgress);
  if (from === undefined) return options;
  checkFields('from', from, fromFields);
  checkId('from.aggregateType', from.aggregateType, AGGREGATE_TYPE_BYTES_LIMIT);
  checkId('from.aggregateId', from.aggregateId);
  return { ...options, from: { ...from } };
}
