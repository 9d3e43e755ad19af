// The commands of an aggregate whose definition is not known where a command runs without a shard: each name is one. Whatever is
// asked of it or sent to it is recorded by name.

import { reservedCommandNames } from '../model/aggregate.ts';

/** Names that no command has, and marks that assertion libraries look for. */
const notCommands: ReadonlySet<string> = new Set([...reservedCommandNames, 'asymmetricMatch', '$$typeof', 'nodeType']);

export const anyCommand: object = new Proxy(
  {},
  {
    getOwnPropertyDescriptor: (plain, name) =>
      typeof name !== 'string' || name in plain || notCommands.has(name)
        ? undefined
        : { configurable: true, enumerable: true },
  },
);
