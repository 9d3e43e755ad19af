// An aggregate type as a shard runs it: its own commands, and behind them one that each type has, which reads the state.

import { TrunklineError } from '../base/errors.ts';
import type { AnyAggregate, CommandContext } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import { isFaithful } from '../wire/payload.ts';
import type { ActorType } from './actor.ts';
import { reducerFingerprint, reducersOf } from './evolve.ts';

/** As errors name it; no command of a user's can: it is not an identifier that `ref.name` reaches. */
const readStateName = '(state)';

export function actorTypeOf(definition: AnyAggregate, index: number): ActorType {
  const names = Object.keys(definition.commands);
  return {
    index,
    definition,
    name: storedTypeOf(definition),
    commandNames: [...names, readStateName],
    commands: [...names.map((name) => definition.commands[name]), readState],
    reducers: reducersOf(definition),
    fingerprint: reducerFingerprint(definition),
  };
}

/** The state, if JSON brings it back as it is; else `UnserialisableValue`, and the reader folds the events itself. */
function readState(aggregate: CommandContext<unknown, any>): unknown {
  if (aggregate.version === 0 || isFaithful(aggregate.state)) return aggregate.state;
  throw new TrunklineError('UnserialisableValue', { path: 'state', reason: 'is not what JSON would bring back' });
}
