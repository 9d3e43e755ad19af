// Where the database is: named by --postgres, or by the environment, in which other users of the machine see no passwords.
import { type Command, Option } from 'commander';
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { shown } from '../../../base/shown.ts';
import { warnOfOpen } from '../../../terminal/print.ts';
import { checkSchema } from '../schema/session.ts';
import { checkConnectionString, configOf, defaultSchema, openHost } from '../session/connection.ts';
import { failure } from '../session/failure.ts';
import { openClient } from '../session/server-session.ts';

export const urlOption = '--postgres';
export const urlVariable = 'TRUNKLINE_POSTGRES';

export interface ConnectionOptions {
  postgres?: string;
  schema: string;
}

/** Give a command the options that name the database. */
export function withConnection(command: Command): Command {
  return command
    .addOption(
      new Option(`${urlOption} <url>`, 'postgres://user@host:port/database')
        .env(urlVariable)
        .argParser((postgres: string) => withWarning(connectionOf({ postgres }))),
    )
    .option('--schema <name>', 'where the tables are', defaultSchema);
}

/** @throws InvalidOptions */
export function connectionOf({ postgres }: Pick<ConnectionOptions, 'postgres'>): string {
  const isUrl = postgres !== undefined && /^postgres(ql)?:\/\//.test(postgres) && URL.canParse(postgres);
  if (isUrl) {
    checkConnectionString(urlOption, postgres);
    return postgres;
  }
  const reason = postgres ? 'must be a URL like postgres://user@host/database' : `is missing, and so is ${urlVariable}`;
  throw new TrunklineError('InvalidOptions', { option: urlOption, value: shown(postgres), reason });
}

/** As a start does. Once for a command: when its words are read. */
function withWarning(postgres: string): string {
  const host = openHost({ connectionString: postgres });
  if (host !== undefined) warnOfOpen(host);
  return postgres;
}

/** Work on a connection of the command's own. Its errors in our words, without the connection string. */
export async function connected<T>(options: ConnectionOptions, work: (client: pg.Client) => Promise<T>): Promise<T> {
  let client: pg.Client | undefined;
  try {
    client = await openClient(configOf(connectionOf(options)), { name: 'trunkline command line', timeoutMs: 0 });
    return await work(client);
  } catch (error) {
    throw isFromHere(error) ? error : failure(error, options.schema);
  } finally {
    await client?.end().catch(() => {});
  }
}

/** The same, in a schema that is a store of this release's. @throws StoreSchemaMissing, StoreSchemaNewer, StoreSchemaMismatch */
export const onStore = <T>(options: ConnectionOptions, work: (client: pg.Client) => Promise<T>): Promise<T> =>
  connected(options, async (client) => {
    await checkSchema(client, options.schema);
    return work(client);
  });

/** Files and folders fail too, and not by the database's fault. */
function isFromHere(error: unknown): boolean {
  const { path, code } = error as NodeJS.ErrnoException;
  return path !== undefined || code === 'ENOSPC';
}
