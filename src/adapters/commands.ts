// The adapters that add to the command line.
import type { StoreCommands } from '../terminal/store-commands.ts';
import { postgresCommands } from './postgres/commands/commands.ts';

/** Of each kind of store outside of the data directory. */
export const storeCommands: readonly StoreCommands[] = [postgresCommands];
