// The columns and triggers that this release works with, so that an altered schema is refused at the start, by name.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { ownTriggers } from './own-triggers-sql.ts';
import { lacksStatement } from './tables-sql.ts';

const columns: Readonly<Record<string, string>> = {
  domain_events:
    'id aggregate_type aggregate_id version event_type schema_version occurred_at data metadata position log_id sequence transaction_id',
  aggregates:
    'aggregate_type aggregate_id version previous_version epoch log_id position first_occurred_at last_occurred_at updated_at',
  flush_checkpoints: 'log_id position updated_at',
  quarantined_events:
    'log_id position id aggregate_type aggregate_id version event_type occurred_at code reason frame quarantined_at',
  snapshots: 'aggregate_type aggregate_id version fingerprint state taken_at',
  actor_types: 'aggregate_type is_settled',
  raise_rights: 'role_name aggregate_type event_type',
  outbox: 'sequence id occurred_at log_id batch position refused',
  outbox_relay: 'is_only log_id session seen_at',
  event_handler_positions:
    'log_id handler_name position completed paused last_processed_id last_processed_at updated_at',
  handler_entries: 'log_id table_name key value',
  log_readers: 'log_id name position updated_at',
  locks: 'lock_name',
};

/** Tables, views and sequences of ours, but for the months' partitions. */
export const relations: readonly string[] = [
  ...Object.keys(columns),
  ...['trunkline_migrations', 'domain_events_default', 'dead_letters', 'domain_events_sequence', 'outbox_batch'],
  ...['raise_intake', 'save_intake', 'month_intake'],
];

const needed: readonly string[] = Object.entries(columns).flatMap(([table, names]) =>
  names.split(' ').map((name) => `${table}.${name}`),
);

/** @throws StoreSchemaMismatch */
export async function checkTables(client: pg.ClientBase, schema: string): Promise<void> {
  const lacking = await lacksStatement.run(client, { schema, columns: needed, triggers: ownTriggers });
  if (lacking.length === 0) return;
  const reason = `it lacks ${lacking.map(({ name }) => name).join(', ')}`;
  throw new TrunklineError('StoreSchemaMismatch', { schema, reason });
}
