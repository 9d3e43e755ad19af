// Whose a table of the user's is that rows are written to: its owner, its schema's owner, who owns the functions that it runs, and
// who may make triggers on it (a trigger's condition is code, too) can have code run by this role, since triggers, defaults, checks and policies run with the rights of who writes. So
// they must be roles that have these rights anyway, as for our own schema (ownership.ts): this role, the database's owner,
// the owner of our schema, superusers, who can become one of them, and a group of this role's that only these administer.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { administeredBy } from './ownership.ts';
import { usedBy } from './used-objects.ts';

/** `client` reads on our own path. `home`: our schema. @throws StoreSchemaUnsafe */
export async function checkTableOwnership(
  client: Pick<pg.ClientBase, 'query'>,
  oid: number,
  schema: string,
  home: string | undefined,
): Promise<void> {
  const { rows } = await client.query(strangersSql, [oid, home]);
  if (rows.length === 0) return;
  const [{ place, object, other, role, me }] = rows;
  const reason =
    place === 4
      ? `role ${role} may make triggers on ${object}, which would run with the rights of role ${me}: revoke trigger on it from ${role}`
      : other === null
        ? `${object} belongs to role ${role}, whose triggers would run with the rights of role ${me}: name a table of its own, or of the database's owner (with its schema: a name alone follows search_path), or grant ${me} to ${role}`
        : `${object} runs ${other}, which belongs to role ${role}: drop the one, or give the other to the table's owner`;
  throw new TrunklineError('StoreSchemaUnsafe', { schema, reason });
}

/** $1: the table; $2: our schema. Partitions and children, too: rows come into them. */
const strangersSql = `
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
  order by f.place, f.object`;
