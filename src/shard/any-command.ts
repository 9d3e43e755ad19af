// The commands of an aggregate whose definition is not known where a command runs without a shard: each name is one. Whatever is
// asked of it or sent to it is recorded by name.

import { type AnyAggregate, reservedCommandNames } from '../model/aggregate.ts';

/** Names that no command has, and marks that assertion libraries look for. */
const notCommands: ReadonlySet<string> = new Set([...reservedCommandNames, 'asymmetricMatch', '$$typeof', 'nodeType']);

/**
 * `named`: what the command has named its target by. Where that has a command which is called as what every object has, or as
 * such a mark (`toString`), it is one; else such a name is none, as on a ref.
 */
export function anyCommandOf(named: AnyAggregate): object {
  const commands: unknown = named.commands;
  const hasCommand = (name: string): boolean =>
    typeof commands === 'object' && commands !== null && Object.hasOwn(commands, name);
  return new Proxy(
    {},
    {
      getOwnPropertyDescriptor: (plain, name) => {
        if (typeof name !== 'string') return undefined;
        const isMark = name in plain || notCommands.has(name);
        return isMark && !hasCommand(name) ? undefined : { configurable: true, enumerable: true };
      },
    },
  );
}
