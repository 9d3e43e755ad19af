// Where what handlers keep lies, for commands: a data directory that is one, and the store if the events are there.
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { TrunklineError } from '../base/errors.ts';
import { inspectLog } from '../log/inspect.ts';
import { readOrigin } from '../runtime/directory.ts';
import { handlersFolderOf, keptElsewhere, type Place, type StoreOfLog } from '../runtime/offline-handlers.ts';
import { dataDirOption } from '../terminal/words.ts';
import { namedStore, requiredStore, withStore } from './stores.ts';

/** With the options of a store, which its adapter reads. */
export interface PlaceOptions {
  dataDir: string;
}

/** Give a command the options that name a service's data. */
export const withPlace = (command: Command): Command =>
  withStore(command.addOption(dataDirOption("the service's data directory").makeOptionMandatory()));

/**
 * Makes nothing. A store counts only for a service that keeps its events in one; then it must be that one.
 * @throws InvalidOptions, DataDirUnreadable, StoreUnsuitable, StoreSchemaMissing, StoreUnavailable
 */
export async function placeOf(options: PlaceOptions): Promise<Place> {
  const { dataDir } = options;
  const origin = readOrigin(dataDir);
  const place = { dataDir, handlersFolder: handlersFolderOf(dataDir), store: undefined };
  const store = namedStore(options);
  if (store === undefined) return place;
  if (origin?.holds === 'events' && keptElsewhere(place.handlersFolder) === undefined) return place;
  const logId = origin?.logId ?? inspectLog(join(resolve(dataDir), 'log'))?.logId;
  if (logId === undefined) throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
  return { ...place, store: { options: await store.holding(logId, ` of ${dataDir}`), logId } };
}

/** Of a log whose data directory is gone. */
export async function lostPlaceOf(options: object, logId: string): Promise<StoreOfLog> {
  return { options: await requiredStore(options).holding(logId, ''), logId };
}
