// What PostgreSQL adds to the command line.

import type { StoreOptions } from '../../../store/adapter.ts';
import type { NamedStore, StoreCommands } from '../../../terminal/store-commands.ts';
import { checkKnowsLog } from '../schema/known-log.ts';
import { postgres } from '../session/postgres.ts';
import {
  type ConnectionOptions,
  connected,
  connectionOf,
  urlOption,
  urlVariable,
  withConnection,
} from './connection.ts';
import { addMigrate } from './migrate.ts';
import { addOutbox } from './outbox.ts';
import { addPartitions } from './partitions.ts';
import { statusReport } from './status.ts';

export const postgresCommands: StoreCommands = {
  option: urlOption,
  variable: urlVariable,
  withOptions: withConnection,
  named(options) {
    const connection = options as ConnectionOptions;
    return connection.postgres === undefined ? undefined : storeAt(connection);
  },
  add(program) {
    for (const add of [addMigrate, addOutbox, addPartitions]) add(program);
  },
};

function storeAt(connection: ConnectionOptions): NamedStore {
  const { schema } = connection;
  const optionsOf = (): StoreOptions => postgres({ connectionString: connectionOf(connection), schema });
  return {
    get options() {
      return optionsOf();
    },
    async holding(logId, whose) {
      const options = optionsOf();
      await connected(connection, (client) => checkKnowsLog(client, schema, logId, whose));
      return options;
    },
    status: (logId) => connected(connection, (client) => statusReport(client, schema, logId)),
  };
}
