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
// The right `trigger` on one of our tables is as good as being its owner: what raise_event writes, it writes with the owner's rights.
// A foreign key into one is kept up by who changes our rows, and can forbid it. A session's own role harms itself alone by these.
//
// A member of a trusted role counts as that role whatever options its membership has: with the admin option it can give itself
// the others. Being made a member needs no consent: who has the rights of a role is not for that reason its friend.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { triggerTexts } from './own-triggers-sql.ts';
import { type Finding, findings } from './ownership-sql.ts';
import { relations } from './tables.ts';

const shownLimit = 3;

/** Of a schema that only trusted roles have changed. */
const alterations: readonly Finding['kind'][] = ['added', 'altered', 'off'];

/**
 * Refuse a schema in which a role that is not trusted can create, or has created, what we would run, or whose tables run what our
 * migrations did not make.
 * @throws StoreSchemaUnsafe, StoreSchemaMismatch
 */
export async function checkOwnership(
  client: pg.ClientBase,
  schema: string,
  use: 'session' | 'migration',
): Promise<void> {
  const isMigration = use === 'migration';
  const [names, texts] = triggerTexts;
  const found = await findings(client, { schema, relations, isMigration, names, texts });
  if (found.length === 0) return;
  const reasons = found.map((finding) => reasonOf(finding, schema));
  const more = reasons.length > shownLimit ? [`and ${reasons.length - shownLimit} more`] : [];
  const isAltered = found.every(({ kind }) => alterations.includes(kind));
  throw new TrunklineError(isAltered ? 'StoreSchemaMismatch' : 'StoreSchemaUnsafe', {
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
    case 'grant':
      return `${role === null ? 'every role' : `role ${role}`} may have ${other} of its own on tables of it: revoke trigger, references on all tables in schema ${name} from ${grantee}`;
    case 'object':
      return `${object} belongs to role ${role}: drop it, or name a schema that nothing else uses`;
    case 'runs':
    case 'uses':
      return `${object} ${kind} ${other}, which belongs to role ${role}: drop the one, or give the other to the schema's owner`;
    case 'event trigger':
      return `${object} runs ${other}, which belongs to role ${role}, with the rights of who makes tables: drop it`;
    case 'added':
      return `${object} is none of ours: drop it`;
    case 'altered':
      return `${object} does something else than the one that our migrations make: make it again, as their files do`;
    case 'off':
      return `${object} is switched off: alter table … enable trigger …`;
  }
}
