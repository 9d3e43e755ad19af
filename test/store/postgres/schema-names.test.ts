// Names of the schema that migrations would take apart: they put texts in the place of marks, one mark after the other.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { migrationMarks } from '../../../src/adapters/postgres/session/connection.ts';
import { postgres } from '../../../src/index.ts';

const migrations = fileURLToPath(new URL('../../../migrations', import.meta.url));
const connectionString = 'postgres://localhost/app';

test('every mark of a migration but the first is refused', () => {
  const marks = new Set<string>();
  for (const file of globSync('*.sql', { cwd: migrations })) {
    for (const [, mark] of readFileSync(`${migrations}/${file}`, 'utf8').matchAll(/'(@[a-z_]+)'/g)) marks.add(mark!);
  }
  marks.delete('@home');
  expect([...marks].sort()).toEqual([...migrationMarks].sort());
});

describe.each(migrationMarks)('%s', (mark) => {
  test.each(['', 'x', '"'])('behind %j', (before) => {
    const schema = `${before}${mark}s`;
    const refused = expect.objectContaining({
      code: 'InvalidOptions',
      details: expect.objectContaining({ option: 'schema', reason: expect.stringContaining(`must not hold ${mark}`) }),
    });
    expect(() => postgres({ connectionString, schema })).toThrow(refused);
  });
});

test.each(['@home', 'of @Name', 'a@b', '@'])('%s is a name like any other', (schema) => {
  expect(() => postgres({ connectionString, schema })).not.toThrow();
});
