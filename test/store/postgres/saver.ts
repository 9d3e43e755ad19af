// The rights that docs/how-to/use-entities.md names for saveWithTx, as its SQL.
import { readFileSync } from 'node:fs';

const guide = readFileSync(new URL('../../../docs/how-to/use-entities.md', import.meta.url), 'utf8');
const [grants] = [...guide.matchAll(/```sql\n([\s\S]*?)```/g)].map((match) => match[1]!);

/** For a role and a schema, both quoted where they have to be. */
export const saverGrants = (role: string, schema = 'trunkline'): string =>
  grants!.replaceAll(/\bledger\b/g, () => role).replaceAll(/\btrunkline\b/g, () => schema);
