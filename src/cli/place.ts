// Where what handlers keep lies, for commands: a data directory that is one, and the database if the events are there.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { checkKnowsLog } from '../adapters/postgres/schema/known-log.ts';
import { postgres } from '../adapters/postgres/session/postgres.ts';
import { TrunklineError } from '../base/errors.ts';
import { inspectLog } from '../log/inspect.ts';
import { readOrigin } from '../runtime/directory.ts';
import { elsewhereFile, type Place, type StoreOfLog } from '../runtime/offline-handlers.ts';
import { type ConnectionOptions, connected, connectionOf, withConnection } from './connection.ts';
import { dataDirOption } from './words.ts';

export interface PlaceOptions extends ConnectionOptions {
  dataDir: string;
}

/** Give a command the options that name a service's data. */
export const withPlace = (command: Command): Command =>
  withConnection(command.addOption(dataDirOption("the service's data directory").makeOptionMandatory()));

/**
 * Makes nothing. A database counts only for a service that stores its events in one; then it must be that one.
 * @throws InvalidOptions, DataDirUnreadable, StoreUnsuitable, StoreSchemaMissing, StoreUnavailable
 */
export async function placeOf({ dataDir, ...connection }: PlaceOptions): Promise<Place> {
  const origin = readOrigin(dataDir);
  const place = { dataDir, handlersFolder: join(resolve(dataDir), 'handlers'), store: undefined };
  if (connection.postgres === undefined) return place;
  if (origin?.holds === 'events' && !existsSync(elsewhereFile(place.handlersFolder))) return place;
  const logId = origin?.logId ?? inspectLog(join(resolve(dataDir), 'log'))?.logId;
  if (logId === undefined) throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
  return { ...place, store: await storeOf(connection, logId, ` of ${dataDir}`) };
}

/** Of a log whose data directory is gone. */
export const lostPlaceOf = (connection: ConnectionOptions, logId: string): Promise<StoreOfLog> =>
  storeOf(connection, logId, '');

async function storeOf(connection: ConnectionOptions, logId: string, whose: string): Promise<StoreOfLog> {
  const { schema } = connection;
  const options = postgres({ connectionString: connectionOf(connection), schema });
  await connected(connection, (client) => checkKnowsLog(client, schema, logId, whose));
  return { options, logId };
}
