// `trunkline/testing`: given, when, then; in memory, without threads and services.
import './base/node-version.ts';

export {
  type Expected,
  type GivenEvent,
  type GivenOptions,
  given,
  type Outcome,
  type Then,
  type When,
} from './testing/given.ts';
