// The release script's cheap steps, and the list of licences.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { file, installed, permissive, root, thirdParty } from '../../scripts/third-party.ts';

test('THIRD-PARTY.md lists what is installed with the package, and what is compiled into that', () => {
  expect(readFileSync(file, 'utf8'), 'run `node scripts/third-party.ts`').toBe(thirdParty());
  expect(installed().filter(({ licence }) => !permissive.includes(licence))).toEqual([]);
  expect(installed().map(({ name }) => name)).toEqual(expect.arrayContaining(['lmdb', 'pg', 'msgpackr-extract']));
  for (const what of ['LMDB', 'LZ4']) expect(thirdParty()).toContain(`| ${what}`);
});

test('a dry run makes the SBOM, changes nothing else, and names what stands in the way', () => {
  const out = mkdtempSync(join(tmpdir(), 'trunkline-release-'));
  try {
    const git = (...words: string[]): string => spawnSync('git', words, { cwd: root, encoding: 'utf8' }).stdout;
    const before = [git('status', '--porcelain'), git('tag')];
    const words = [join(root, 'scripts', 'release.ts'), '--dry-run', '--out', out];
    const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    expect(stderr).toBe('');
    const { name, version, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const lines = stdout.split('\n');
    const told = (how: string): string[] => lines.filter((line) => line.startsWith(how)).map((line) => line.slice(7));
    expect(told('done')).toContain('licences are permissive, and listed in THIRD-PARTY.md');
    expect(told('later').join()).toMatch(/install.*tests.*weaknesses.*pack.*SHA256SUMS.*sign the tag/);
    expect(status).toBe(told('NOT').length > 0 ? 1 : 0);
    const sbom = JSON.parse(readFileSync(join(out, `${name}-${version}.cdx.json`), 'utf8'));
    expect(sbom.metadata.component).toMatchObject({ name, version });
    const components = (sbom.components as { name: string; group?: string }[]).map((one) => one.name);
    expect(components).toEqual(expect.arrayContaining(Object.keys(dependencies)));
    for (const ours of ['vitest', 'kafkajs']) expect(components).not.toContain(ours);
    expect([git('status', '--porcelain'), git('tag')]).toEqual(before);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
