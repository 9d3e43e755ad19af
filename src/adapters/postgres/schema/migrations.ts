// The numbered files of `migrations/`: plain SQL, each applied once, in order, never changed afterwards.
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { readdir, readFile } from '../../../base/disk.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { appliedStatement, listStatement } from './migrations-sql.ts';

export interface Migration {
  /** 1, 2, 3 … */
  readonly number: number;
  /** File name without its ending. */
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the text, hexadecimal. */
  readonly checksum: string;
}

const ownFolder = fileURLToPath(new URL('../../../../migrations/', import.meta.url));

/** All files of a folder, in order. Throws if their numbers do not run 1, 2, 3 …: a release would be incomplete. */
export async function readMigrations(folder: string = ownFolder): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{6}-[a-z0-9-]+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (file, index) => {
      const number = Number(file.slice(0, 6));
      if (number !== index + 1) throw new Error(`${folder}: ${file} where migration ${index + 1} must follow`);
      const sql = await readFile(`${folder}/${file}`, 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      return { number, name: file.slice(0, -'.sql'.length), sql, checksum };
    }),
  );
}

/** How far the schema is; 0 if there is none. Throws if it is ahead of this release, or not what its files made. */
export async function versionOf(client: pg.ClientBase, schema: string, known: readonly Migration[]): Promise<number> {
  if ((await listStatement.count(client, { schema })) === 0) return 0;
  const applied = await appliedStatement(pg.escapeIdentifier(schema)).run(client, {});
  for (const [index, row] of applied.entries()) {
    const migration = known[index];
    if (migration === undefined) {
      const last = applied.at(-1)!.number;
      throw new TrunklineError('StoreSchemaNewer', { schema, found: last, supported: known.length });
    }
    if (row.number !== migration.number || row.checksum !== migration.checksum) {
      const reason = `migration ${row.name} was applied with another text than this release's ${migration.name}`;
      throw new TrunklineError('StoreSchemaMismatch', { schema, reason });
    }
  }
  return applied.length;
}
