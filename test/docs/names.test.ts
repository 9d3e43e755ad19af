// What the documents name is there: files, fault families, npm scripts, commands of the command line. Files of the sources are
// named by their whole path from the root, in backticks, so that a script that moves files can move their names with them.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';
import { makeProgram } from '../../src/cli/program.ts';
import { documents, proseOf, root, shownFiles } from './documents.ts';

// Read, not imported: they bring the servers.
const families = readFileSync(join(root, 'test', 'fault', 'families.ts'), 'utf8');
const commands = makeProgram().commands.map((command) => command.name());
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const shown = new Set(shownFiles().keys());
const all = [...documents, 'SECURITY.md', 'CONTRIBUTING.md', 'src/ARCHITECTURE.md'];

/** Documents for those who change Trunkline: what they name are its files, and no program of a reader's. */
const isAboutSources = (document: string): boolean =>
  /^docs\/(internals|adr|security)\/|^docs\/reference\/(compatibility|fault-families)\.md$|^[A-Z]+\.md$|^src\//.test(
    document,
  ) && document !== 'README.md';

const folders = '(?:src|test|bench|docs|examples|migrations|scripts|api)';
const path = new RegExp(`^${folders}(?:/[\\w.*{},-]+)+/?$|^${folders}/$`);

test.each(all)('what %s names is there', (document) => {
  const text = proseOf(document);
  const missing: string[] = [];
  for (const [, name] of text.matchAll(/`([^`\n]+)`/g)) {
    if (path.test(name!)) {
      if (globSync(name!, { cwd: root }).length === 0) missing.push(name!);
    } else if (/^[\w./-]+\.(?:ts|sql)$/.test(name!)) {
      const isReaders =
        shown.has(name!.replace(/^\.\//, '')) || name!.startsWith('./') || existsSync(join(root, name!));
      if (isAboutSources(document) ? !existsSync(join(root, name!)) : !isReaders)
        missing.push(`${name} (write the whole path from the root)`);
    }
  }
  for (const [, list] of text.matchAll(/fault famil(?:y|ies) ((?:`[\w-]+`(?:, | and )?)+)/g)) {
    for (const [, family] of list!.matchAll(/`([\w-]+)`/g)) {
      if (!new RegExp(`^  '?${family}'?[,:]`, 'm').test(families)) missing.push(`fault family ${family}`);
    }
  }
  for (const [, script] of text.matchAll(/npm run (?:-s )?([\w:]+)/g)) {
    if (!Object.hasOwn(scripts, script!)) missing.push(`npm run ${script}`);
  }
  for (const [, command] of text.matchAll(/npx trunkline ([a-z-]+)/g)) {
    if (!commands.includes(command!)) missing.push(`trunkline ${command}`);
  }
  expect(missing).toEqual([]);
});

/** `name` in `file`, and `file` (`name`, `name`): pairs that a document says belong together. */
function* namesWithFiles(text: string): Generator<{ name: string; file: string }> {
  for (const [, name, file] of text.matchAll(/`([\w.]+)` in `(src\/[\w./-]+\.ts)`/g))
    yield { name: name!, file: file! };
  for (const [, file, list] of text.matchAll(/`(src\/[\w./-]+\.ts)` \(([^()]*)\)/g)) {
    for (const [, name] of list!.matchAll(/`([A-Za-z]\w*)`/g)) yield { name: name!, file: file! };
  }
}

test('a function or type that a document places in a file of the sources is there', () => {
  const missing: string[] = [];
  let pairs = 0;
  for (const document of all) {
    for (const { name, file } of namesWithFiles(proseOf(document))) {
      pairs++;
      const word = new RegExp(`\\b${name.split('.').at(-1)}\\b`);
      if (!existsSync(join(root, file)) || !word.test(readFileSync(join(root, file), 'utf8')))
        missing.push(`${document}: ${name} in ${file}`);
    }
  }
  expect(missing).toEqual([]);
  expect(pairs).toBeGreaterThan(20);
});

/** From the root, from `src`, from the file's own folder, or the end of a path, as `ring/ring.ts`. */
function isFile(name: string, from: string, paths: readonly string[]): boolean {
  const beside = join(dirname(from), name);
  return paths.some((path) => path === beside || path === name || path.endsWith(`/${name}`));
}

test('a file that a comment of the sources names is there', () => {
  const paths = globSync('{src,test,bench,examples,scripts,migrations,docs,api}/**/*.{ts,sql,md}', { cwd: root });
  const missing: string[] = [];
  let names = 0;
  for (const file of globSync('src/**/*.ts', { cwd: root })) {
    for (const { value } of parseSync(file, readFileSync(join(root, file), 'utf8')).comments) {
      for (const [name] of value.matchAll(/(?<![\w$*{}<>…-])[\w./-]*[\w-]\.(?:ts|sql|md)\b/g)) {
        if (name.startsWith('./')) continue; // a user's, in an example
        names++;
        if (!isFile(name, file, paths)) missing.push(`${file}: ${name}`);
      }
    }
  }
  expect(missing).toEqual([]);
  expect(names).toBeGreaterThan(100);
});
