// The stores that the command line can name, each by the options of its adapter.
import type { Command } from 'commander';
import { storeCommands } from '../adapters/commands.ts';
import { TrunklineError } from '../base/errors.ts';
import type { NamedStore } from '../terminal/store-commands.ts';

/** Options that name a store, as error messages list them. */
export const storeOptions: string = storeCommands.map(({ option }) => option).join(', ');

/** Give a command the options that name a store. */
export const withStore = (command: Command): Command =>
  storeCommands.reduce((given, store) => store.withOptions(given), command);

/** The store that a command's options name; undefined: they name none. @throws InvalidOptions */
export function namedStore(options: object): NamedStore | undefined {
  for (const store of storeCommands) {
    const named = store.named(options);
    if (named !== undefined) return named;
  }
  return undefined;
}

/** The same, for a command that needs one. @throws InvalidOptions */
export function requiredStore(options: object): NamedStore {
  const named = namedStore(options);
  if (named !== undefined) return named;
  const variables = storeCommands.map(({ variable }) => variable).join(', ');
  throw new TrunklineError('InvalidOptions', { option: storeOptions, reason: `is missing, and so is ${variables}` });
}
