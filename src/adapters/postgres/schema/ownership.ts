// Who else can put something into the schema, or has: functions that our statements would run with our rights, tables in the
// place of ours. Looked at when a session begins (recent-ownership.ts) and before anything is migrated, from the catalogue, which
// every role may read and which runs nothing of others'.
//
// Trusted are the roles that have the schema's rights anyway: its owner, who can become the owner, the database's owner,
// superusers. Where an administrator has made the schema and lets another role create in it, which owns all that is ours: that
// role, too, since it has migrated. A migration asks more: the schema belongs to the role that migrates, to one whose rights it
// has and which only trusted roles administer, to the database's owner or a superuser. A session cannot ask that: it does not
// know which role should have migrated.
//
// A member of a trusted role counts as that role whatever options its membership has: with the admin option it can give itself
// the others. Being made a member needs no consent: who has the rights of a role is not for that reason its friend.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { relations } from './tables.ts';

interface Finding {
  readonly kind: 'schema' | 'create' | 'object' | 'attached' | 'event trigger';
  /** The object, as the server describes it; of `attached` what uses the function of `other`. */
  readonly object: string | null;
  readonly other: string | null;
  /** null: every role. */
  readonly role: string | null;
}

const shownLimit = 3;

/**
 * Refuse a schema in which a role that is not trusted can create, or has created, what we would run.
 * @throws StoreSchemaUnsafe
 */
export async function checkOwnership(
  client: pg.ClientBase,
  schema: string,
  use: 'session' | 'migration',
): Promise<void> {
  const { rows } = await client.query(findingsSql, [schema, relations, use === 'migration']);
  if (rows.length === 0) return;
  const reasons = (rows as Finding[]).map((finding) => reasonOf(finding, schema));
  const more = reasons.length > shownLimit ? [`and ${reasons.length - shownLimit} more`] : [];
  throw new TrunklineError('StoreSchemaUnsafe', {
    schema,
    reason: [...reasons.slice(0, shownLimit), ...more].join('; '),
  });
}

function reasonOf({ kind, object, other, role }: Finding, schema: string): string {
  const name = pg.escapeIdentifier(schema);
  const grantee = role === null ? 'public' : pg.escapeIdentifier(role);
  switch (kind) {
    case 'schema':
      return `it belongs to role ${role}, and role ${other} migrates: drop it if nothing in it is needed, or migrate as its owner, or name another schema`;
    case 'create':
      return `${role === null ? 'every role' : `role ${role}`} may create functions in it: revoke create on schema ${name} from ${grantee}`;
    case 'object':
      return `${object} belongs to role ${role}: drop it, or name a schema that nothing else uses`;
    case 'attached':
      return `${object} runs ${other}, which belongs to role ${role}: drop the one, or give the other to the schema's owner`;
    case 'event trigger':
      return `${object} runs ${other}, which belongs to role ${role}, with the rights of who makes tables: drop it`;
  }
}

/** Functions that a table runs for who uses it. `tables`: what has their `oid`. */
export const attachedTo = (tables: string): string =>
  `select d.classid, d.objid, p.oid, p.proowner as owner from (
    select 'pg_catalog.pg_trigger'::pg_catalog.regclass as class, t.oid from pg_catalog.pg_trigger t join ${tables} ours on ours.oid = t.tgrelid
      where not t.tgisinternal
    union all select 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid from pg_catalog.pg_rewrite r join ${tables} ours on ours.oid = r.ev_class
    union all select 'pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid from pg_catalog.pg_attrdef a join ${tables} ours on ours.oid = a.adrelid
    union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid from pg_catalog.pg_constraint c join ${tables} ours on ours.oid = c.conrelid
      where c.contype = 'c'
    union all select 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid from pg_catalog.pg_policy y join ${tables} ours on ours.oid = y.polrelid
    union all select 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid from pg_catalog.pg_index i join ${tables} ours on ours.oid = i.indrelid
      where i.indexprs is not null or i.indpred is not null
  ) part join pg_catalog.pg_depend d on d.classid = part.class and d.objid = part.oid
    and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  join pg_catalog.pg_proc p on p.oid = d.refobjid`;

/**
 * Whether all who may make others members of a role are, or can become, a role of `trusted`; its own members otherwise are not
 * those that an administrator has chosen. Since PostgreSQL 16 a role may give only those that it has the admin option of, which
 * it has of each that it makes.
 */
export const administeredBy = (role: string, trusted: string): string =>
  `not exists (select from pg_catalog.pg_auth_members a where a.roleid = ${role} and a.admin_option
    and not exists (select from ${trusted} t where pg_catalog.pg_has_role(a.member, t.role, 'member')))`;

/** $1: the schema; $2: the names of our tables, views and sequences; $3: whether this role is to migrate. */
const findingsSql = `
  with home as materialized (
    select n.oid, n.nspowner as owner, n.nspacl as acl from pg_catalog.pg_namespace n where n.nspname = $1::pg_catalog.text
  ), me as materialized (
    select r.oid, r.rolsuper as is_super from pg_catalog.pg_roles r where r.rolname = current_user
  ), base as materialized (
    select datdba as owner from pg_catalog.pg_database where datname = pg_catalog.current_database()
  ), ours as materialized (
    select c.oid, c.relname as name, c.relowner as owner from pg_catalog.pg_class c
    where c.relnamespace = (select oid from home) and c.relname = any ($2::pg_catalog.text[])
    union
    select c.oid, c.relname, c.relowner from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = (select c.oid from pg_catalog.pg_class c
      where c.relnamespace = (select oid from home) and c.relname = 'domain_events')
  ), created as materialized (
    select a.grantee as role from home, pg_catalog.aclexplode(coalesce(home.acl, pg_catalog.acldefault('n', home.owner))) a
    where a.privilege_type = 'CREATE'
  ), trusted as materialized (
    select owner as role from home
    union select owner from base
    union select oid from me where $3
    union select o.owner from ours o, created c where not $3 and c.role = o.owner
        and o.name = 'trunkline_migrations' and not exists (select from ours p where p.owner <> o.owner)
  ), attached as materialized (
    ${attachedTo('ours')}
  ), found as (
    select 'schema' as kind, null as object, current_user::pg_catalog.text as other, home.owner as role from home, me, base
      where $3 and home.owner <> (select r.oid from pg_catalog.pg_roles r where r.rolname = 'pg_database_owner')
        and not (not me.is_super and pg_catalog.pg_has_role(me.oid, home.owner, 'usage')
          and ${administeredBy('home.owner', '(select oid as role from me union select owner from base)')})
        and not pg_catalog.pg_has_role(home.owner, me.oid, 'member')
        and not pg_catalog.pg_has_role(home.owner, base.owner, 'member')
    union all
    select 'create', null, null, created.role from created
    union all
    select 'object', pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, o.oid, 0), null, o.owner from ours o
    union all
    select 'object', pg_catalog.pg_describe_object('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0), null, p.proowner
      from pg_catalog.pg_proc p where p.pronamespace = (select oid from home)
    union all
    select 'object', pg_catalog.pg_describe_object('pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, 0), null, o.oprowner
      from pg_catalog.pg_operator o where o.oprnamespace = (select oid from home)
    union all
    select 'object', pg_catalog.pg_describe_object('pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 0), null, t.typowner
      from pg_catalog.pg_type t where t.typnamespace = (select oid from home)
        and (t.typtype <> 'c' and t.typelem = 0 or t.typname = any ($2::pg_catalog.text[]))
    union all
    select 'attached', pg_catalog.pg_describe_object(a.classid, a.objid, 0),
      pg_catalog.pg_describe_object('pg_catalog.pg_proc'::pg_catalog.regclass, a.oid, 0), a.owner from attached a
    union all
    select 'event trigger', pg_catalog.pg_describe_object('pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, 0),
      pg_catalog.pg_describe_object('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0), p.proowner
      from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid = e.evtfoid where e.evtenabled <> 'D'
  )
  select f.kind, f.object, f.other, r.rolname::pg_catalog.text as role
  from found f left join pg_catalog.pg_roles r on r.oid = f.role
  where f.kind = 'schema' or f.role = 0
    or not exists (select from trusted t where pg_catalog.pg_has_role(f.role, t.role, 'member'))
  order by f.kind <> 'schema', f.kind <> 'create', f.kind, f.object`;
