// The columns and triggers that this release works with, so that an altered schema is refused at the start, by name.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { ownTriggers } from './own-triggers.ts';

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
  ...['raise_intake', 'month_intake'],
];

const needed: readonly string[] = Object.entries(columns).flatMap(([table, names]) =>
  names.split(' ').map((name) => `${table}.${name}`),
);

/** @throws StoreSchemaMismatch */
export async function checkTables(client: pg.ClientBase, schema: string): Promise<void> {
  // From the catalogue, which every role may read: what one may do to a table is another question.
  const { rows } = await client.query(
    `select needed.name from pg_catalog.unnest($2::text[]) needed (name) where not exists (
       select from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where n.nspname = $1 and c.relname || '.' || a.attname = needed.name and not a.attisdropped)
     union all
     select 'trigger ' || needed.name from pg_catalog.unnest($3::text[]) needed (name) where not exists (
       select from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where n.nspname = $1 and c.relname || '.' || t.tgname = needed.name)`,
    [schema, needed, ownTriggers],
  );
  if (rows.length === 0) return;
  const reason = `it lacks ${rows.map(({ name }) => name).join(', ')}`;
  throw new TrunklineError('StoreSchemaMismatch', { schema, reason });
}
