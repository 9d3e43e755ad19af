// What src has of the world outside comes by one module for each: the clock (base/clock.ts, see clocks.test.ts), random numbers, the
// disk, and blocking. So a simulation replaces these, and the rest of src is the code that runs in production.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Seam {
  readonly door: string;
  /** How a file would go past the door. */
  readonly past: RegExp;
}

const seams: Readonly<Record<string, Seam>> = {
  random: {
    door: 'src/base/random.ts',
    past: /\bMath\.random\b|\b(?:random(?:UUID|Bytes|Int|Fill(?:Sync)?)|getRandomValues|webcrypto)\b(?=[^;]*from 'node:crypto')|\bcrypto\.(?:get)?[rR]andom\w+|'node:crypto'\)/,
  },
  disk: {
    door: 'src/base/disk.ts',
    past: /\bfrom '(?:node:)?fs(?:\/promises)?'|\b(?:import|require|getBuiltinModule)\(\s*'(?:node:)?fs(?:\/promises)?'/,
  },
  sleep: { door: 'src/shared/block-while.ts', past: /\bAtomics\.wait(?:Async)?\b/ },
};

const codeOf = (file: string): string =>
  readFileSync(`${root}/${file}`, 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|[^:])\/\/.*$/gm, '$1');

test.for(Object.entries(seams))('src goes by one module: %s', ([, { door, past }]) => {
  expect(codeOf(door)).toMatch(past);
  const found = globSync('src/**/*.ts', { cwd: root }).filter((file) => file !== door && past.test(codeOf(file)));
  expect(found).toEqual([]);
});

test('the sweep sees what goes past a door', () => {
  const by = (name: string, code: string): boolean => seams[name]!.past.test(code);
  for (const code of [
    'Math.random()',
    "import { hash, randomBytes } from 'node:crypto';",
    "process.getBuiltinModule('node:crypto').randomUUID()",
    'crypto.randomUUID()',
    'globalThis.crypto.getRandomValues(bytes)',
  ]) {
    expect(by('random', code), code).toBe(true);
  }
  expect(by('random', "import { createHash, hash } from 'node:crypto';")).toBe(false);
  for (const code of ["import fs from 'node:fs';", "import { open } from 'fs/promises';", "await import('node:fs')"]) {
    expect(by('disk', code), code).toBe(true);
  }
  expect(by('sleep', 'Atomics.wait(words, 0, 0)')).toBe(true);
});
