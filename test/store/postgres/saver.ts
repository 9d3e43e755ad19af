// The rights of roles that save events in transactions of their own (saveWithTx).
import { readFileSync } from 'node:fs';

const guide = readFileSync(new URL('../../../docs/how-to/use-entities.md', import.meta.url), 'utf8');
const [grants] = [...guide.matchAll(/```sql\n([\s\S]*?)```/g)].map((match) => match[1]!);

/** Those that docs/how-to/use-entities.md names, as its SQL, for events of `type`. For a role, and a schema that is quoted where it has to be. */
export const saverGrants = (role: string, schema = 'trunkline', type = '*'): string =>
  grants!
    .replaceAll(/\bledger\b/g, () => role)
    .replaceAll(/\baccount\b/g, () => type)
    .replaceAll(/\btrunkline\b/g, () => schema);

/** Those that it named before migration 24, on the tables themselves. Migration 28 takes them back; given again, they need what migration 27 asks for. */
export const earlierSaverGrants = (role: string): string => `grant usage on schema trunkline to ${role};
  grant select on trunkline.actor_types, trunkline.aggregates, trunkline.domain_events to ${role};
  grant insert (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at),
    update (version, previous_version, first_occurred_at, last_occurred_at, updated_at) on trunkline.aggregates to ${role};
  grant insert (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version)
    on trunkline.domain_events to ${role};
  grant insert (sequence, id, occurred_at) on trunkline.outbox to ${role};
  grant usage on sequence trunkline.domain_events_sequence to ${role};
  grant select on trunkline.raise_rights to ${role}; insert into trunkline.raise_rights values ('${role}', '*') on conflict do nothing;`;
