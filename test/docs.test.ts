// What the documents on security, contributing and compatibility name is there: files, tests, fault families, npm scripts, commands of the command line.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeProgram } from '../src/cli/program.ts';

const root = new URL('..', import.meta.url).pathname;
// Read, not imported: they bring the servers.
const families = readFileSync(join(root, 'test', 'fault', 'families.ts'), 'utf8');
const commands = makeProgram().commands.map((command) => command.name());
const documents = [
  'SECURITY.md',
  'CONTRIBUTING.md',
  'docs/reference/compatibility.md',
  ...readdirSync(join(root, 'docs', 'security')).map((file) => `docs/security/${file}`),
];

test.each(documents)('what %s names is there', (document) => {
  const text = readFileSync(join(root, document), 'utf8');
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const missing: string[] = [];
  let named = 0;
  for (const [, file] of text.matchAll(/`((?:[\w.-]+\/)*[\w.-]+\.(?:ts|sql))`/g)) {
    named++;
    const places = ['', 'src', 'migrations'];
    if (!places.some((place) => existsSync(join(root, place, file!)))) missing.push(file!);
  }
  for (const [, list] of text.matchAll(/fault famil(?:y|ies) ((?:`[\w-]+`(?:, | and )?)+)/g)) {
    for (const [, family] of list!.matchAll(/`([\w-]+)`/g)) {
      named++;
      if (!new RegExp(`^  '?${family}'?[,:]`, 'm').test(families)) missing.push(`fault family ${family}`);
    }
  }
  for (const [, script] of text.matchAll(/npm run (\w+)/g)) {
    named++;
    if (!Object.hasOwn(scripts, script!)) missing.push(`npm run ${script}`);
  }
  for (const [, command] of text.matchAll(/npx trunkline ([a-z-]+)/g)) {
    named++;
    if (!commands.includes(command!)) missing.push(`trunkline ${command}`);
  }
  expect(missing).toEqual([]);
  expect(named).toBeGreaterThan(0);
});
