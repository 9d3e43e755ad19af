// `trunkline/testing`: given, when, then, in memory, without threads and services; and new code on old history.
import './base/node-version.ts';

export type { RehearsalFailure } from './rehearsal/compare/failure.ts';
export type { StateChange } from './rehearsal/compare/state-diff.ts';
export type { Rehearsal, RehearsalCounts, RehearsalDifference, RehearsalOptions } from './rehearsal/contract.ts';
export { rehearse } from './rehearsal/rehearse.ts';
export type {
  After,
  Expected,
  GivenEvent,
  GivenOptions,
  NewestEvent,
  Outcome,
  Then,
  WaitingTimer,
  When,
} from './testing/contract.ts';
export { given } from './testing/given.ts';
