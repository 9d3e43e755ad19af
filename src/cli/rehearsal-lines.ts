// What `trunkline rehearse` prints of a rehearsal.

import type { Rehearsal, RehearsalCounts, RehearsalDifference } from '../rehearsal/contract.ts';

/** How much has been compared. */
export function countsLine({ aggregates, events, different, seconds }: RehearsalCounts): string {
  const rate = Math.round(events / Math.max(seconds, 0.001));
  const of = `${events.toLocaleString('en')} events of ${aggregates.toLocaleString('en')} aggregates`;
  return `${of}, ${different.toLocaleString('en')} differ; ${rate.toLocaleString('en')} events/s`;
}

/** All that a rehearsal has found. */
export function rehearsalLines(result: Rehearsal): string[] {
  const { differences, different, ignored, failedAlike, incomplete, onlyOld, onlyNew, entities, notStored, next } =
    result;
  const left = different - differences.length;
  return [
    ...differences.flatMap(differenceLines),
    ...(left > 0 ? [`${left.toLocaleString('en')} more differ; --limit describes more of them`] : []),
    countsLine(result),
    ...(ignored > 0 ? [`${ignored.toLocaleString('en')} differ in ignored places only`] : []),
    ...(failedAlike > 0 ? [`${failedAlike.toLocaleString('en')} cannot be folded by either side`] : []),
    ...(incomplete > 0 ? [`${incomplete.toLocaleString('en')} left out: the store has not all of their events`] : []),
    ...onlyOld.map((name) => `${name} is in --old alone: not compared`),
    ...onlyNew.map((name) => `${name} is in --new alone: not compared`),
    ...entities.map((name) => `${name} is an entity, which has no reducers: not compared`),
    ...(notStored > 0
      ? [`${notStored.toLocaleString('en')} positions of the log are not in the store yet: not compared`]
      : []),
    ...(looksSwapped(result) ? ['--old fails where --new does not: are the two swapped?'] : []),
    ...(next === undefined ? [] : [`ended early; go on by --from ${next.aggregateType}/${next.aggregateId}`]),
  ];
}

/** The release that is running has read its own events. */
const looksSwapped = ({ differences }: Rehearsal): boolean =>
  differences.some(({ oldFailure }) => oldFailure !== undefined) &&
  differences.every(({ newFailure }) => newFailure === undefined);

function differenceLines(difference: RehearsalDifference): string[] {
  const { aggregateType, aggregateId, version, position, eventType, changes, changeCount } = difference;
  const { oldFailure, newFailure } = difference;
  const at = `${aggregateType}/${aggregateId} at version ${version} (${eventType}, position ${position})`;
  const failures = [
    ...(oldFailure === undefined ? [] : [`  --old fails: ${oldFailure.code}: ${oldFailure.message}`]),
    ...(newFailure === undefined ? [] : [`  --new fails: ${newFailure.code}: ${newFailure.message}`]),
  ];
  if (failures.length > 0) return [`${at}: fails`, ...failures];
  const left = changeCount - changes.length;
  return [
    `${at}: states differ from here on`,
    ...changes.map(({ path, old, new: now }) => `  ${path || 'the state'}: ${old ?? 'nothing'} → ${now ?? 'nothing'}`),
    ...(left > 0 ? [`  and ${left.toLocaleString('en')} more places`] : []),
  ];
}

/** A rehearsal that has looked at nothing is no success. undefined: something was compared. */
export function nothingCompared(result: Rehearsal, narrowing: readonly string[], asked: string): string | undefined {
  const { aggregates, incomplete, failedAlike, leftOut, entities } = result;
  if (aggregates > incomplete + failedAlike) return undefined;
  const reasons = [
    ...(incomplete > 0 ? [`the store has all events of none of ${incomplete.toLocaleString('en')} aggregates`] : []),
    ...(failedAlike > 0 ? [`neither side can fold ${failedAlike.toLocaleString('en')} aggregates`] : []),
  ];
  if (reasons.length === 0 && leftOut > 0)
    reasons.push(`${narrowing.join(' and ')} left out all of ${leftOut.toLocaleString('en')} aggregates`);
  if (reasons.length === 0)
    reasons.push(asked === '' ? `${entities.join(', ')} has no reducers` : `the store has no aggregate ${asked}`);
  return `nothing was compared: ${reasons.join(', and ')}`;
}
