// Where what handlers keep lies, for commands: a data directory that is one, and the database if the events are there.
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { checkIsDirectory } from '../directory.ts';
import { TrunklineError } from '../errors.ts';
import type { Place } from '../handlers/outside.ts';
import { inspectLog } from '../log/inspect.ts';
import { postgres } from '../store/postgres/postgres.ts';
import { type ConnectionOptions, connectionOf, withConnection } from './connection.ts';
import { dataDirOption } from './words.ts';

export interface PlaceOptions extends ConnectionOptions {
  dataDir: string;
}

/** Give a command the options that name a service's data. */
export const withPlace = (command: Command): Command =>
  withConnection(command.addOption(dataDirOption("the service's data directory").makeOptionMandatory()));

/** Makes nothing. @throws InvalidOptions, DataDirUnreadable */
export function placeOf({ dataDir, ...connection }: PlaceOptions): Place {
  checkIsDirectory(dataDir);
  const place = { dataDir, handlersFolder: join(resolve(dataDir), 'handlers'), postgres: undefined };
  if (connection.postgres === undefined) return place;
  const logId = inspectLog(join(resolve(dataDir), 'log'))?.logId;
  if (logId === undefined) throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
  const { settings } = postgres({ connectionString: connectionOf(connection), schema: connection.schema });
  return { ...place, postgres: { settings, logId } };
}
