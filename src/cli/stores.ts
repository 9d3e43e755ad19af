// The stores that the command line can name, each by the options of its adapter.
import type { Command } from 'commander';
import { storeCommands } from '../adapters/commands.ts';
import { TrunklineError } from '../base/errors.ts';
import { printError } from '../terminal/print.ts';
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

/** A store that was written on the command line counts for nothing there; one that a variable of the shell names is no mistake. */
export function warnOfUnusedStore(command: Command, dataDir: string): void {
  for (const { option } of storeCommands) {
    const known = command.options.find(({ long }) => long === option);
    if (known === undefined || command.getOptionValueSource(known.attributeName()) !== 'cli') continue;
    printError(`trunkline: warning: ${option} is not used: the events of ${dataDir} are in the directory itself`);
  }
}

/** The same, for a command that needs one. @throws InvalidOptions */
export function requiredStore(options: object): NamedStore {
  const named = namedStore(options);
  if (named !== undefined) return named;
  const variables = storeCommands.map(({ variable }) => variable).join(', ');
  throw new TrunklineError('InvalidOptions', { option: storeOptions, reason: `is missing, and so is ${variables}` });
}
