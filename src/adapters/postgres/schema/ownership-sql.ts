// Who else owns, or can make, what our statements would run: of our schema. What is asked, and why: ownership.ts.
import type pg from 'pg';
import { nullable, object, oneOf, text } from '../../../base/json.ts';
import { ownPath } from '../session/session-sql.ts';
import { executeEach, Statement } from '../session/statement.ts';
import { strangeTriggers } from './own-triggers-sql.ts';
import { usedBy } from './used-objects-sql.ts';

const kinds = [
  'schema',
  'create',
  'grant',
  'object',
  'runs',
  'uses',
  'event trigger',
  'added',
  'altered',
  'off',
] as const;

export interface Finding {
  readonly kind: (typeof kinds)[number];
  /** The object, as the server describes it; of `runs` and `uses` what uses `other`. */
  readonly object: string | null;
  readonly other: string | null;
  /** null: every role. */
  readonly role: string | null;
}

/**
 * How the server prints what is compared with a text of ours, whatever the session is set to; and no machine code is made for a
 * statement whose cost it overrates (recursion), which would take longer than it. As one query with it, which is one transaction.
 */
const printing = [
  `search_path = ${ownPath}`,
  "timezone = 'UTC'",
  "datestyle = 'ISO'",
  'quote_all_identifiers = off',
  'standard_conforming_strings = on',
  'jit = off',
]
  .map((setting) => `set local ${setting}`)
  .join('; ');

/**
 * Whether all who may make others members of a role are, or can become, a role of `trusted`; its own members otherwise are not
 * those that an administrator has chosen. Since PostgreSQL 16 a role may give only those that it has the admin option of, which
 * it has of each that it makes.
 */
export const administeredBy = (role: string, trusted: string): string =>
  `not exists (select from pg_catalog.pg_auth_members a where a.roleid = ${role} and a.admin_option
    and not exists (select from ${trusted} t where pg_catalog.pg_has_role(a.member, t.role, 'member')))`;

interface Given {
  /** Not quoted. */
  schema: string;
  /** Our tables, views and sequences. */
  relations: readonly string[];
  /** This role is to migrate. */
  isMigration: boolean;
  /** `triggerTexts`, both. */
  names: readonly string[];
  texts: readonly string[];
}

const statement: Statement<Given, Finding> = new Statement(
  'a finding on who owns what',
  `
  with recursive home as materialized (
    select n.oid, n.nspowner as owner, n.nspacl as acl from pg_catalog.pg_namespace n where n.nspname = $1::pg_catalog.text
  ), me as materialized (
    select r.oid, r.rolsuper as is_super from pg_catalog.pg_roles r where r.rolname = current_user
  ), base as materialized (
    select datdba as owner from pg_catalog.pg_database where datname = pg_catalog.current_database()
  ), ours (oid, name, owner) as (
    select c.oid, c.relname::pg_catalog.text, c.relowner from pg_catalog.pg_class c
    where c.relnamespace = (select oid from home) and c.relname = any ($2::pg_catalog.text[])
    union
    select c.oid, c.relname::pg_catalog.text, c.relowner
    from ours o join pg_catalog.pg_inherits i on i.inhparent = o.oid join pg_catalog.pg_class c on c.oid = i.inhrelid
  ), created as materialized (
    select a.grantee as role from home, pg_catalog.aclexplode(coalesce(home.acl, pg_catalog.acldefault('n', home.owner))) a
    where a.privilege_type = 'CREATE'
  ), trusted as materialized (
    select owner as role from home
    union select owner from base
    union select oid from me where $3
    union select o.owner from ours o, created c where not $3 and c.role = o.owner
        and o.name = 'trunkline_migrations' and not exists (select from ours p where p.owner <> o.owner)
  ), ${usedBy('ours')}, found as (
    select 'schema' as kind, null as object, current_user::pg_catalog.text as other, home.owner as role from home, me, base
      where $3 and home.owner <> (select r.oid from pg_catalog.pg_roles r where r.rolname = 'pg_database_owner')
        and not (not me.is_super and pg_catalog.pg_has_role(me.oid, home.owner, 'usage')
          and ${administeredBy('home.owner', '(select oid as role from me union select owner from base)')})
        and not pg_catalog.pg_has_role(home.owner, me.oid, 'member')
        and not pg_catalog.pg_has_role(home.owner, base.owner, 'member')
    union all
    select 'create', null, null, created.role from created
    union all
    select 'grant', null, case when g.triggers then 'triggers' else 'foreign keys' end, g.role from (
      select a.grantee as role, pg_catalog.bool_or(a.privilege_type = 'TRIGGER') as triggers
      from ours o join pg_catalog.pg_class c on c.oid = o.oid, pg_catalog.aclexplode(c.relacl) a
      where a.privilege_type in ('TRIGGER', 'REFERENCES') and a.grantee <> (select oid from me)
      group by a.grantee) g
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
    select 'object', pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0), null, c.relowner
      from pg_catalog.pg_constraint k join ours o on o.oid = k.confrelid join pg_catalog.pg_class c on c.oid = k.conrelid
    union all
    select 'object', pg_catalog.pg_describe_object('pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 0), null, s.stxowner
      from pg_catalog.pg_statistic_ext s join ours o on o.oid = s.stxrelid
    union all
    select case r.class when 'pg_catalog.pg_proc'::pg_catalog.regclass then 'runs' else 'uses' end,
      pg_catalog.pg_describe_object(p.classid, p.objid, 0), pg_catalog.pg_describe_object(r.class, r.oid, 0), r.owner
      from reached r join parts p on p.refclassid = r.root_class and p.refobjid = r.root_oid where r.owner is not null
    union all
    select 'event trigger', pg_catalog.pg_describe_object('pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, 0),
      pg_catalog.pg_describe_object('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0), p.proowner
      from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid = e.evtfoid where e.evtenabled <> 'D'
  ), reported as (
  select f.kind, f.object, f.other, r.rolname::pg_catalog.text as role
  from found f left join pg_catalog.pg_roles r on r.oid = f.role
  where f.kind = 'schema' or f.role = 0
    or not exists (select from trusted t where pg_catalog.pg_has_role(f.role, t.role, 'member'))
  union all
  select a.kind, a.object, null, null from (${strangeTriggers('ours', '$1', '$4', '$5')}) a
  )
  select * from reported order by kind <> 'schema', kind <> 'create', kind, object`,
  ['schema', 'relations', 'isMigration', 'names', 'texts'],
  object<Finding>({ kind: oneOf(...kinds), object: nullable(text), other: nullable(text), role: nullable(text) }),
);

/** In the order in which an error names them. */
export async function findings(client: pg.ClientBase, given: Given): Promise<Finding[]> {
  const results = await executeEach(client, `${printing}; ${statement.filledWith(given)}`);
  return statement.rowsIn(results.at(-1)!);
}
