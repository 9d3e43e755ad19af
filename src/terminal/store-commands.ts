// What a store's adapter adds to the command line: options that name a store, commands of its own, and what the commands for
// every store ask of it. Runs in the command line's process.
import type { Command } from 'commander';
import type { StoreOptions } from '../store/adapter.ts';

export interface StoreCommands {
  /** The option that names a store of this kind, with its dashes; the kind itself follows them. */
  readonly option: string;
  /** The environment variable that counts where the option is not given. */
  readonly variable: string;
  /** Give a command the options that name a store. */
  withOptions(command: Command): Command;
  /** The store that a command's options name; undefined: none of this kind. @throws InvalidOptions */
  named(options: object): NamedStore | undefined;
  /** Add commands of the adapter's own. */
  add(program: Command): void;
}

/** A store that the command line names. Nothing is connected before it is asked. */
export interface NamedStore {
  /** Its options, whatever log it holds. */
  readonly options: StoreOptions;
  /**
   * Its options, once it is known to hold this log. `whose` follows the log's name in the error.
   * @throws StoreUnsuitable: it does not hold the log; StoreUnavailable, StoreSchemaMissing
   */
  holding(logId: string, whose: string): Promise<StoreOptions>;
  /** How far it is. `logId`: the log that the command looks at. @throws StoreUnavailable, StoreSchemaMissing */
  status(logId: string | undefined): Promise<StoreReport>;
}

/** How far a store is: for programs, and for people. */
export interface StoreReport {
  readonly value: object;
  readonly lines: readonly string[];
}
