// What `knip` (in `npm run lint`) takes as given: every file, export and dependency that nothing reaches from here is an
// error. Programs and threads that are started by the path of their file are found by that path, so that a file that moves
// needs no line here, and one whose starter is gone is reported.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import type { KnipConfig } from 'knip';
import { scales, suites } from './bench/suites.ts';

const project = ['{src,test,bench,examples,scripts}/**/*.{ts,mjs,js,cjs}'];

/** Files that another file names in a string which is not an import: `ownFile('./thread', …)`, `new URL('./child.ts', …)`. */
function startedByPath(): string[] {
  const started = new Set<string>();
  for (const file of globSync(project)) {
    const text = readFileSync(file, 'utf8').replaceAll(/\b(?:from|import) '[^']+'|^\s*\/?[/*].*$/gm, '');
    for (const [, path] of text.matchAll(/['`]((?:\.{1,2}\/)*[\w/.-]+)(?:\?[^'`]*)?['`]/g)) {
      for (const extension of path!.startsWith('.') ? ['', '.ts'] : ['']) {
        const target = normalize(join(dirname(file), path! + extension));
        if (/\.(?:ts|mjs)$/.test(target) && existsSync(target)) started.add(target);
      }
    }
  }
  return [...started];
}

const config: KnipConfig = {
  project,
  entry: [
    // The package's commands; what it exports, and the programs of its scripts, knip knows from package.json.
    'src/cli/main.ts',
    ...startedByPath(),
    // Programs that people start: see the READMEs of the folders.
    'scripts/*.ts',
    'bench/{profile,raise-while-stalled}.ts',
    'bench/peers/jvm.ts',
    'examples/**/{main,serve}.ts',
    // Started by name: `bench/suites.ts`, `bench/peers/systems.ts`.
    ...suites.map((name) => `bench/${name}.ts`),
    ...scales.map((name) => `bench/scale/${name}.ts`),
    'bench/peers/systems/*.mjs',
    // Compiled, never run.
    'test/types/*.ts',
    // Run in an empty folder into which the package was installed; or put in front of each piece of a program in README and docs.
    'test/fixtures/**',
  ],
  ignoreDependencies: [
    'fs-native-extensions', // by createRequire(), so that a platform without it gets an error of ours: src/runtime/directory-lock.ts
    '@arethetypeswrong/cli', // commands that test/package/pack.test.ts runs
    'publint',
  ],
  // Programs of the machine, not of a package: tests say which they need when they lack them.
  ignoreBinaries: [/./],
  ignoreIssues: { 'bench/peers/systems/*.mjs': ['unlisted'] }, // bench/peers/install.ts installs them elsewhere
};

export default config;
