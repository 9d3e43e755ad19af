// The triggers that our migrations make, as the server prints them (PostgreSQL 15 to 18 alike; @home stands for the schema, @quoted
// for it within a text). Another
// trigger or rule on our tables runs with the rights of who writes there, and any function can do harm: the server's own functions
// can change a row, and ours refuse one. One of ours that is switched off, or is of the same name and does something else, lets in
// what it has to keep out. A role with the right `trigger` on a table can do all of this but switch one off.
//
// The server's functions stand with pg_catalog, which it does not print on our path. A migration that changes a trigger adds its
// new form beside the old one: a schema is looked at before it is migrated, too.

/** Of roles that may not move a log's checkpoint. */
const notOfLogs = `(NOT pg_catalog.has_any_column_privilege(('@quoted.flush_checkpoints'::regclass)::oid, 'update'::text))`;
const gateConditions = [
  '(new.log_id IS NULL)',
  '((new.schema_version < 1) OR (new.schema_version > 65535))',
  `((new.occurred_at < '4712-01-01 00:00:00+00 BC'::timestamp with time zone) OR (new.occurred_at > '275760-09-13 00:00:00+00'::timestamp with time zone))`,
  '((pg_catalog.octet_length(new.aggregate_type) < 1) OR (pg_catalog.octet_length(new.aggregate_type) > 100))',
  '((pg_catalog.octet_length(new.aggregate_id) < 1) OR (pg_catalog.octet_length(new.aggregate_id) > 255))',
  '((pg_catalog.octet_length(new.event_type) < 1) OR (pg_catalog.octet_length(new.event_type) > 100))',
  `(pg_catalog.jsonb_typeof(new.metadata) <> 'object'::text)`,
  `((new."position" < 1) OR (new."position" > '9007199254740991'::bigint))`,
];
const notGiven = `(new.sequence > COALESCE(pg_catalog.pg_sequence_last_value('@quoted.domain_events_sequence'::regclass), (0)::bigint))`;
const gatedColumns = 'aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata';

const forms: Readonly<Record<string, readonly string[]>> = {
  'domain_events.event_gate': [gateIf(gateConditions), gateIf([...gateConditions, notOfLogs])],
  'domain_events.event_change_gate': [
    `AFTER UPDATE OF ${gatedColumns} ON @home.domain_events FOR EACH ROW EXECUTE FUNCTION @home.check_event_row()`,
  ],
  'aggregates.head_gate': [
    `AFTER INSERT OR DELETE OR UPDATE ON @home.aggregates FOR EACH ROW WHEN (${notOfLogs}) EXECUTE FUNCTION @home.check_head_row()`,
  ],
  'aggregates.head_truncate_gate': [
    `BEFORE TRUNCATE ON @home.aggregates FOR EACH STATEMENT WHEN (${notOfLogs}) EXECUTE FUNCTION @home.check_head_row()`,
  ],
  'outbox.number_gate': [
    `AFTER INSERT ON @home.outbox FOR EACH ROW WHEN ((${notOfLogs} AND ${notGiven})) EXECUTE FUNCTION @home.refuse_number()`,
  ],
  'raise_intake.step_1': [insteadOf('raise_intake', 'name_caller')],
  'raise_intake.step_2': [insteadOf('raise_intake', 'raise_for_caller')],
  'save_intake.step_1': [insteadOf('save_intake', 'name_caller')],
  'save_intake.step_2': [insteadOf('save_intake', 'save_for_caller')],
  'month_intake.step_1': [insteadOf('month_intake', 'name_caller')],
  'month_intake.step_2': [insteadOf('month_intake', 'make_partition_for_caller')],
};

function gateIf(conditions: readonly string[]): string {
  return `AFTER INSERT ON @home.domain_events FOR EACH ROW WHEN ((${conditions.join(' OR ')})) EXECUTE FUNCTION @home.check_event_row()`;
}

function insteadOf(view: string, name: string): string {
  return `INSTEAD OF INSERT ON @home.${view} FOR EACH ROW EXECUTE FUNCTION @home.${name}()`;
}

/** As `table.trigger`. */
export const ownTriggers: readonly string[] = Object.keys(forms);

const printed = Object.entries(forms).flatMap(([trigger, each]) =>
  each.map((form) => `CREATE TRIGGER ${trigger.split('.')[1]} ${form.replaceAll('pg_catalog.', '')}`),
);

/** What {@link strangeTriggers} takes as its two parameters. */
export const triggerTexts: readonly [names: readonly string[], texts: readonly string[]] = [
  Object.entries(forms).flatMap(([trigger, each]) => each.map(() => trigger)),
  printed,
];

/** A text with the schema's name in it, which may hold any of these words itself: none is looked for in what another has become. */
const named = (text: string, home: string): string => `pg_catalog.array_to_string(array(
      select pg_catalog.replace(part, '@home', pg_catalog.quote_ident(${home}))
      from pg_catalog.unnest(pg_catalog.string_to_array(${text}, '@quoted')) with ordinality as parts (part, place) order by place),
    pg_catalog.replace(pg_catalog.quote_ident(${home}), '''', ''''''))`;

/**
 * Triggers and rules on our tables that are not as our migrations make them: `kind`, `object`. Partitions have those of their
 * table, which can be switched off one by one. `tables`: a CTE of `oid` and `name`; the other three are parameters.
 */
export const strangeTriggers = (tables: string, home: string, names: string, texts: string): string => `
  select case when t.tgenabled in ('D', 'R') and t.is_known then 'off' when t.is_known then 'altered' else 'added' end as kind,
    pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0) as object
  from (
    select t.oid, t.tgparentid, t.tgenabled, o.name || '.' || t.tgname as name,
      t.tgparentid <> 0 or o.name || '.' || t.tgname = any (${names}::pg_catalog.text[]) as is_known
    from ${tables} o join pg_catalog.pg_trigger t on t.tgrelid = o.oid where not t.tgisinternal
  ) t
  where not t.is_known or t.tgenabled in ('D', 'R') or t.tgparentid = 0 and not exists (
    select from unnest(${names}::pg_catalog.text[], ${texts}::pg_catalog.text[]) as known (name, text)
    where known.name = t.name and ${named('known.text', home)} = pg_catalog.pg_get_triggerdef(t.oid))
  union all
  select 'added', pg_catalog.pg_describe_object('pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, 0)
  from ${tables} o join pg_catalog.pg_rewrite w on w.ev_class = o.oid where w.rulename <> '_RETURN'`;
