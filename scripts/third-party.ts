// THIRD-PARTY.md: what is installed with the package, and under which licences; from the lock file, so it names what our
// tests run on. `node scripts/third-party.ts` writes it, test/package/release.test.ts holds it. What a library has compiled
// into itself is in no lock file: it is listed here, by the licence texts that lie in that library.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root: string = fileURLToPath(new URL('..', import.meta.url));
export const file: string = join(root, 'THIRD-PARTY.md');

/** Licences that ask for no more than to be named. Another one in the tree is a decision, not an accident. */
export const permissive: readonly string[] = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'];

interface Compiled {
  what: string;
  licence: string;
  within: string;
  /** Where its text lies, within the package. */
  text: string;
}

const compiled: readonly Compiled[] = [
  {
    what: 'LMDB, © 2011-2021 Howard Chu, Symas Corp.',
    licence: 'OLDAP-2.8',
    within: 'lmdb',
    text: 'dependencies/lmdb/libraries/liblmdb/LICENSE',
  },
  {
    what: 'LZ4 Library, © 2011-2020 Yann Collet',
    licence: 'BSD-2-Clause',
    within: 'lmdb',
    text: 'dependencies/lz4/lib/LICENSE',
  },
];

interface Locked {
  version?: string;
  license?: string;
  dev?: boolean;
  peer?: boolean;
}

interface Package {
  name: string;
  version: string;
  licence: string;
}

/** All that `npm install trunkline` may bring, for every platform. */
export function installed(): Package[] {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  return Object.entries(packages)
    .filter(([path, { dev, peer }]) => path !== '' && !dev && !peer)
    .map(([path, { version, license }]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: version ?? '?',
      licence: license ?? 'unknown',
    }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** The file as it should be. @throws if a licence text is not where it should be */
export function thirdParty(): string {
  for (const { within, text } of compiled) {
    const path = join(root, 'node_modules', within, text);
    if (!existsSync(path)) throw new Error(`${path} is missing: what does ${within} compile into itself now?`);
  }
  const rows = installed().map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`);
  return `# Third-party software

Made by \`node scripts/third-party.ts\` from the lock file: the versions that our tests run on. Where you install the package, your own lock file says which versions you have. Each package has the text of its licence in its folder.

| package | version | licence |
|---|---|---|
${rows.join('\n')}

## Compiled into them

| what | licence | compiled into | text |
|---|---|---|---|
${compiled.map(({ what, licence, within, text }) => `| ${what} | ${licence} | ${within} | \`node_modules/${within}/${text}\` |`).join('\n')}
`;
}

if (import.meta.main) writeFileSync(file, thirdParty());
