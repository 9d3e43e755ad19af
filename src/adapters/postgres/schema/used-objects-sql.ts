// Whatever a table uses when rows are written, read, vacuumed or analysed, followed through the catalogue's dependencies to its end:
// who owns a function runs it with the rights of who uses the table, who owns a type can give it a constraint that runs one, and
// who owns an operator, a sequence, a collation or a server can put another in its place. What a function's text names is not
// in the catalogue: that is its owner's care.

/** The oid of a catalogue, by which pg_depend names the sort of an object. */
const at = (catalogue: string): string => `'pg_catalog.${catalogue}'::pg_catalog.regclass::pg_catalog.oid`;

/** What belongs to tables, and is run or kept up for who uses them. */
const partsOf = (tables: string): string =>
  `select ${at('pg_class')} as class, ours.oid from ${tables} ours
  union all select ${at('pg_trigger')}, t.oid from ${tables} ours join pg_catalog.pg_trigger t on t.tgrelid = ours.oid where not t.tgisinternal
  union all select ${at('pg_rewrite')}, w.oid from ${tables} ours join pg_catalog.pg_rewrite w on w.ev_class = ours.oid
  union all select ${at('pg_attrdef')}, a.oid from ${tables} ours join pg_catalog.pg_attrdef a on a.adrelid = ours.oid
  union all select ${at('pg_constraint')}, c.oid from ${tables} ours join pg_catalog.pg_constraint c on c.conrelid = ours.oid and c.contype <> 'n'
  union all select ${at('pg_policy')}, y.oid from ${tables} ours join pg_catalog.pg_policy y on y.polrelid = ours.oid
  union all select ${at('pg_class')}, i.indexrelid from ${tables} ours join pg_catalog.pg_index i on i.indrelid = ours.oid
  union all select ${at('pg_statistic_ext')}, s.oid from ${tables} ours join pg_catalog.pg_statistic_ext s on s.stxrelid = ours.oid`;

/** Where the catalogue says whose an object is. */
const owners: Readonly<Record<string, string>> = {
  pg_proc: 'proowner',
  pg_type: 'typowner',
  pg_class: 'relowner',
  pg_operator: 'oprowner',
  pg_opclass: 'opcowner',
  pg_opfamily: 'opfowner',
  pg_collation: 'collowner',
  pg_language: 'lanowner',
  pg_foreign_server: 'srvowner',
  pg_foreign_data_wrapper: 'fdwowner',
  pg_ts_config: 'cfgowner',
  pg_ts_dict: 'dictowner',
};

/** A schema and an extension hold an object, and do not run; what an extension has is its maker's, a superuser's mostly. */
const isFollowed = (d: string): string =>
  `${d}.deptype <> 'e' and ${d}.refclassid not in (${at('pg_namespace')}, ${at('pg_extension')})`;

/** Dependencies that the catalogue keeps the other way round: what a type, an operator family, a table reached brings with it. */
const brought = `
  select d.refclassid as class, d.refobjid as oid from pg_catalog.pg_depend d
    where d.classid = r.class and d.objid = r.oid and ${isFollowed('d')}
  union all select ${at('pg_constraint')}, c.oid from pg_catalog.pg_constraint c where r.class = ${at('pg_type')} and c.contypid = r.oid
  union all select ${at('pg_class')}, t.typrelid from pg_catalog.pg_type t where r.class = ${at('pg_type')} and t.oid = r.oid and t.typrelid <> 0
  union all select ${at('pg_proc')}, p.amproc::pg_catalog.oid from pg_catalog.pg_amproc p where r.class = ${at('pg_opfamily')} and p.amprocfamily = r.oid
  union all select ${at('pg_operator')}, o.amopopr from pg_catalog.pg_amop o where r.class = ${at('pg_opfamily')} and o.amopfamily = r.oid
  union all select ${at('pg_class')}, i.inhrelid from pg_catalog.pg_inherits i where r.class = ${at('pg_class')} and i.inhparent = r.oid
  union all select part.class, part.oid from (${partsOf(`(select r.oid where r.class = ${at('pg_class')})`)}) part`;

/**
 * The CTEs `parts` (what belongs to `tables`, with what it refers to) and `reached` (by what is referred to: all that it comes to, with
 * its owner), for a `with recursive`. `tables`: a CTE whose `oid` are tables, views and partitions.
 */
export const usedBy = (tables: string): string => `
  belonging as materialized (
    ${partsOf(tables)}
  ), parts as materialized (
    select distinct d.classid, d.objid, d.refclassid, d.refobjid from belonging b
    join pg_catalog.pg_depend d on d.classid = b.class and d.objid = b.oid and ${isFollowed('d')}
    where d.refclassid in (${Object.keys(owners).map(at).join()})
      and not exists (select from belonging o where o.class = d.refclassid and o.oid = d.refobjid)
  ), following (root_class, root_oid, class, oid) as (
    select distinct p.refclassid, p.refobjid, p.refclassid, p.refobjid from parts p
    union
    select r.root_class, r.root_oid, n.class, n.oid from following r cross join lateral (${brought}) n
    where not exists (select from belonging o where o.class = n.class and o.oid = n.oid)
  ), reached as materialized (
    select f.*, case f.class ${Object.entries(owners)
      .map(
        ([table, owner]) => `when ${at(table)} then (select x.${owner} from pg_catalog.${table} x where x.oid = f.oid)`,
      )
      .join(' ')} end as owner from following f
  )`;
