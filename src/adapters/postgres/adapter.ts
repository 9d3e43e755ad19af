// PostgreSQL as the store's adapter: which of this folder's parts each thread gets. Each part is imported when it is asked for,
// so that no thread loads what only others need.

import type { HandlerStateAdapter } from '../../handler-state/state-adapter.ts';
import type { OutboxAdapter } from '../../outbox/outbox.ts';
import type { ProjectionAdapter } from '../../projections/projection-adapter.ts';
import type { StoreAdapter } from '../../store/adapter.ts';
import type { PostgresSettings, PostgresStoreOptions } from './session/postgres.ts';

const adapter: StoreAdapter & OutboxAdapter & HandlerStateAdapter & ProjectionAdapter = {
  async openSink(settings, parts) {
    const { PostgresSink } = await import('./flush/sink.ts');
    return new PostgresSink(settings as PostgresSettings, parts.logId, parts.firstPosition, parts);
  },
  async openAggregateReader(settings, logId) {
    const { PostgresAggregateReader } = await import('./read/aggregate-reader.ts');
    return new PostgresAggregateReader(settings as PostgresSettings, logId);
  },
  async openArchive(options, report) {
    const { PostgresArchive } = await import('./read/archive.ts');
    return new PostgresArchive(options as PostgresStoreOptions, report);
  },
  async openAppend(settings) {
    const { PostgresAppend } = await import('./outbox/append.ts');
    return new PostgresAppend((settings as PostgresSettings).schema);
  },
  async openOutbox(settings, { logId, actorTypes, onError }) {
    const [{ PostgresOutbox }, { PartitionUpkeep }] = await Promise.all([
      import('./outbox/relay-outbox.ts'),
      import('./partitions/upkeep.ts'),
    ]);
    const { connection, schema } = settings as PostgresSettings;
    const outbox = new PostgresOutbox({ connection, schema, logId, actorTypes });
    return { outbox, upkeep: new PartitionUpkeep(settings as PostgresSettings, onError) };
  },
  async openHandlerState() {
    const [{ PostgresTables }, { LogReaders }, { PostgresTraces }] = await Promise.all([
      import('./handlers/tables.ts'),
      import('./handlers/log-readers.ts'),
      import('./handlers/traces.ts'),
    ]);
    return {
      kind: 'postgres',
      tables: (settings, logId, connections) => new PostgresTables(settings as PostgresSettings, logId, connections),
      readers: (settings, logId, onError) => new LogReaders(settings as PostgresSettings, logId, onError),
      traces: (settings, logId) => new PostgresTraces(settings as PostgresSettings, logId),
    };
  },
  async openProjections() {
    const { TableProjection } = await import('./handlers/projection.ts');
    return {
      projection: (definition, into, stage, onClosed) => new TableProjection(definition, into, stage, onClosed),
    };
  },
};

export default adapter;
