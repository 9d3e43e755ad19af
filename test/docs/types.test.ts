// The TypeScript in README and docs compiles: files of programs as they are, and pieces (blocks that name no file) against
// a real aggregate, which test/fixtures/docs-prelude.ts has.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { blocksOf, documents, root, shownFiles } from './documents.ts';

const preludeFile = join(root, 'test/fixtures/docs-prelude.ts');

test('each TypeScript block of each document compiles', { timeout: 240_000 }, () => {
  mkdirSync(join(root, 'data'), { recursive: true });
  const folder = mkdtempSync(join(root, 'data', 'docs-types-'));
  try {
    let pieces = 0;
    for (const [file, text] of shownFiles()) if (file.endsWith('.ts')) writeFileSync(join(folder, file), text);
    for (const document of documents) {
      const name = document.replaceAll(/\W/g, '-');
      for (const [index, { language, file, text }] of blocksOf(document).entries()) {
        if (language !== 'ts' || file !== undefined) continue;
        writeFileSync(join(folder, `${name}-${index}.ts`), program(text));
        pieces++;
      }
    }
    expect(pieces).toBeGreaterThanOrEqual(6);
    const extended = {
      extends: '../../tsconfig.json',
      include: ['*.ts'],
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(extended));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [compiler, '-p', folder], { cwd: root, encoding: 'utf8' });
    // The sources stand here for the package's declarations, which a user's compiler does not check by themselves.
    const errors = stdout.split('\n').filter((line) => /^(?:data\/|error)/.test(line));
    expect(errors).toEqual([]);
    expect(status).not.toBeNull();
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
  return `import { ${wanted.join(', ')} } from '../../test/fixtures/docs-prelude.ts';\n${block}export {};\n`;
}

const uses = (block: string, name: string): boolean => new RegExp(`(?<![.\\w'-])${name}\\b(?!:)`).test(block);
const makes = (block: string, name: string): boolean =>
  new RegExp(`(?:const|let|using|class|function)\\s+${name}\\b|import \\{[^}]*\\b${name}\\b`).test(block);
