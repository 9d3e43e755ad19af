// What no migration changes of a database.
import { number, object, text } from '../../../base/json.ts';
import { type Nothing, Statement } from '../session/statement.ts';

interface Server {
  encoding: string;
  /** Like 180004. */
  version: number;
}

export const serverStatement: Statement<Nothing, Server> = new Statement(
  'the server',
  `select pg_catalog.current_setting('server_encoding') as encoding, pg_catalog.current_setting('server_version_num')::float8 as version`,
  [],
  object<Server>({ encoding: text, version: number }),
);
