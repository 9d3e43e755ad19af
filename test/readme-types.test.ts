// The pieces of programs in README compile, against a real aggregate: each TypeScript block that names no file (those
// that do are run, see readme.test.ts).
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const preludeFile = join(root, 'test/fixtures/readme-prelude.ts');

test('each piece of a program in README compiles', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
  expect(blocks.length).toBeGreaterThanOrEqual(6);
  mkdirSync(join(root, 'data'), { recursive: true });
  const folder = mkdtempSync(join(root, 'data', 'readme-types-'));
  try {
    for (const [index, block] of blocks.entries()) writeFileSync(join(folder, `block-${index}.ts`), program(block));
    const extended = {
      extends: '../../tsconfig.json',
      include: ['*.ts'],
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(extended));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
    expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** The block as a module: what it names and does not make itself comes from the prelude. */
function program(block: string): string {
  const names = [
    ...readFileSync(preludeFile, 'utf8').matchAll(/^export (?:declare )?(?:const|class|function) (\w+)/gm),
  ];
  const wanted = names.map((match) => match[1]!).filter((name) => uses(block, name) && !makes(block, name));
  return `import { ${wanted.join(', ')} } from '../../test/fixtures/readme-prelude.ts';\n${block}export {};\n`;
}

const uses = (block: string, name: string): boolean => new RegExp(`(?<![.\\w'-])${name}\\b(?!:)`).test(block);
const makes = (block: string, name: string): boolean =>
  new RegExp(`(?:const|let|using|class|function)\\s+${name}\\b|import \\{[^}]*\\b${name}\\b`).test(block);
