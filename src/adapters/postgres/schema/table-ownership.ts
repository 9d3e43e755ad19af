// Whose a table of the user's is that rows are written to: its owner, its schema's owner, who owns the functions that it runs, and
// who may make triggers on it (a trigger's condition is code, too) can have code run by this role, since triggers, defaults, checks and policies run with the rights of who writes. So
// they must be roles that have these rights anyway, as for our own schema (ownership.ts): this role, the database's owner,
// the owner of our schema, superusers, who can become one of them, and a group of this role's that only these administer.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { strangersStatement } from './table-ownership-sql.ts';

/** `client` reads on our own path. `home`: our schema. @throws StoreSchemaUnsafe */
export async function checkTableOwnership(
  client: Pick<pg.ClientBase, 'query'>,
  oid: number,
  schema: string,
  home: string | undefined,
): Promise<void> {
  const [stranger] = await strangersStatement.run(client, { oid, home });
  if (stranger === undefined) return;
  const { place, object, other, role, me } = stranger;
  const reason =
    place === 4
      ? `role ${role} may make triggers on ${object}, which would run with the rights of role ${me}: revoke trigger on it from ${role}`
      : other === null
        ? `${object} belongs to role ${role}, whose triggers would run with the rights of role ${me}: name a table of its own, or of the database's owner (with its schema: a name alone follows search_path), or grant ${me} to ${role}`
        : `${object} runs ${other}, which belongs to role ${role}: drop the one, or give the other to the table's owner`;
  throw new TrunklineError('StoreSchemaUnsafe', { schema, reason });
}
