// What a Node.js that is too old is told: by its name, before anything else of the package is evaluated. A static import of
// what it lacks would fail before that, with a SyntaxError, so there is none.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkNode, nodeNeeded } from '../../src/base/node-version.ts';

const root = join(import.meta.dirname, '../..');

/** Modules, and names of others, that Node.js 20 does not have; those of its own that are used here and came later. */
const laterModules = ['sqlite', 'sea', 'test/reporters'];
const laterNames: Readonly<Record<string, readonly string[]>> = {
  zlib: ['createZstdCompress', 'createZstdDecompress', 'zstdCompressSync', 'zstdDecompressSync'],
  fs: ['globSync', 'glob', 'mkdtempDisposableSync'],
  'fs/promises': ['glob', 'mkdtempDisposable'],
  module: ['enableCompileCache', 'stripTypeScriptTypes', 'registerHooks', 'findPackageJSON'],
  util: ['getCallSites', 'diff'],
  worker_threads: ['isInternalThread', 'locks'],
};

test('the version that engines says, and none before it', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe(`>=${nodeNeeded}`);
  for (const old of ['16.20.2', '18.0.0', '20.19.0', '22.22.0', '23.11.1']) {
    expect(() => checkNode(old)).toThrow(`this is Node.js ${old}, and trunkline needs 24 or newer; install that`);
  }
  for (const version of ['24.0.0', '25.1.0', '100.0.0', process.versions.node]) checkNode(version);
});

test('it is asked first, and nothing that an older one lacks is imported by name', () => {
  const source = join(root, 'src');
  for (const entry of ['index.ts', 'postgres.ts', 'kafka.ts', 'testing.ts']) {
    const [first] = /^(?:import|export) [^;]*;/m.exec(readFileSync(join(source, entry), 'utf8'))!;
    expect([entry, first]).toEqual([entry, "import './base/node-version.ts';"]);
  }
  const found: string[] = [];
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(join(source, file), 'utf8');
    for (const [, names = '', module = ''] of text.matchAll(/^import (?!type )(.*?) ?from 'node:([a-z_/]+)'/gms)) {
      if (laterModules.includes(module)) found.push(`${file}: node:${module}`);
      const listed: readonly string[] = names.match(/\w+/g) ?? [];
      for (const name of laterNames[module] ?? []) if (listed.includes(name)) found.push(`${file}: ${name}`);
    }
  }
  expect(found).toEqual([]);
});
