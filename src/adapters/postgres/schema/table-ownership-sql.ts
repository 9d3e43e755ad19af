// Who else owns, or can make, what rows of a user's table would run. What is asked, and why: table-ownership.ts.
import { nullable, number, object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';
import { administeredBy } from './ownership-sql.ts';
import { usedBy } from './used-objects-sql.ts';

interface Given {
  /** The table's. */
  oid: number;
  /** Our schema, not quoted. */
  home: string | undefined;
}

interface Stranger {
  /** 4: `role` may make triggers on `object`; otherwise what it owns. */
  place: number;
  object: string;
  /** What `object` runs. */
  other: string | null;
  role: string;
  /** This role. */
  me: string;
}

/** Partitions and children, too: rows come into them. */
export const strangersStatement: Statement<Given, Stranger> = new Statement(
  'a finding on who owns what',
  `
  with recursive me as materialized (
    select r.oid, r.rolname as name, r.rolsuper as is_super from pg_catalog.pg_roles r where r.rolname = current_user
  ), ours (oid) as (
    select $1::pg_catalog.oid
    union select i.inhrelid from pg_catalog.pg_inherits i join ours on i.inhparent = ours.oid
  ), trusted as materialized (
    select oid as role from me
    union select datdba from pg_catalog.pg_database where datname = pg_catalog.current_database()
    union select r.oid from pg_catalog.pg_roles r where r.rolname = 'pg_database_owner'
    union select n.nspowner from pg_catalog.pg_namespace n where n.nspname = $2::pg_catalog.text
  ), ${usedBy('ours')}, found as (
    select 1 as place, pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0) as object, null as other,
      c.relowner as role from ours join pg_catalog.pg_class c on c.oid = ours.oid
    union all
    select distinct 2, pg_catalog.pg_describe_object('pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, 0), null, n.nspowner
      from ours join pg_catalog.pg_class c on c.oid = ours.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    union all
    select 3, pg_catalog.pg_describe_object(p.classid, p.objid, 0), pg_catalog.pg_describe_object(r.class, r.oid, 0), r.owner
      from reached r join parts p on p.refclassid = r.root_class and p.refobjid = r.root_oid where r.owner is not null
    union all
    select 4, pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0), null, a.grantee
      from ours join pg_catalog.pg_class c on c.oid = ours.oid, pg_catalog.aclexplode(c.relacl) a
      where a.privilege_type = 'TRIGGER'
  )
  select f.place, f.object, f.other, coalesce(r.rolname::pg_catalog.text, 'public') as role, me.name::pg_catalog.text as me
  from me, found f left join pg_catalog.pg_roles r on r.oid = f.role
  where f.role = 0 or not exists (select from trusted t where pg_catalog.pg_has_role(f.role, t.role, 'member'))
    and not (not me.is_super and pg_catalog.pg_has_role(me.oid, f.role, 'usage') and ${administeredBy('f.role', 'trusted')})
  order by f.place, f.object`,
  ['oid', 'home'],
  object<Stranger>({ place: number, object: text, other: nullable(text), role: text, me: text }),
);
