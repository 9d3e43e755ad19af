// The package as users get it: packed, installed into an empty folder by the ordinary npm client, and run from there.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiReport, file as apiReportFile, uncommented } from '../../scripts/api-report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const entries = ['index', 'postgres', 'kafka', 'testing'];
const consumer = mkdtempSync(join(tmpdir(), 'trunkline-consumer-'));
const installed = join(consumer, 'node_modules', 'trunkline');
let tarball: string;
// As a user's shell would have it: nothing of this test run's own settings; but the authorities that the machine trusts.
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(NODE_(?!EXTRA_CA_CERTS$)|npm_(package|lifecycle|command|execpath)|VITEST)/.test(name),
  ),
);

function run(command: string, words: string[], cwd = consumer): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, words, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (status === 0) return stdout;
  throw new Error(`${command} ${words.join(' ')}: ${error ?? signal ?? status}\n${stdout}\n${stderr}`);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

beforeAll(() => {
  const [packed] = JSON.parse(run('npm', ['pack', '--silent', '--json', '--pack-destination', consumer], root));
  tarball = join(consumer, packed.filename);
  // Without install scripts: what needs none for us needs none for others.
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  run('npm', ['install', ...quietly, tarball]);
  cpSync(join(root, 'test', 'fixtures', 'consumer'), consumer, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(consumer, 'package.json'), 'utf8'));
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ ...manifest, type: 'module' }));
}, 240_000);

afterAll(() => rmSync(consumer, { recursive: true, force: true }));

describe('what is in it', () => {
  const sources = filesBelow(join(root, 'src')).filter((file) => file.endsWith('.ts'));

  test('every source, compiled and with its types, and nothing that only we need', () => {
    const files = filesBelow(installed).sort();
    const expected = sources.flatMap((file) => [file.replace(/\.ts$/, '.js'), file.replace(/\.ts$/, '.d.ts')]);
    expect(files.filter((file) => file.startsWith('dist'))).toEqual(expected.map((file) => join('dist', file)).sort());
    const others = files.filter((file) => !file.startsWith('dist'));
    const migrations = readdirSync(join(root, 'migrations')).map((file) => join('migrations', file));
    const documents = ['docs', join('bench', 'plots')].flatMap((folder) =>
      filesBelow(join(root, folder)).map((file) => join(folder, file)),
    );
    const allowed = [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'THIRD-PARTY.md',
      'package.json',
      join('bench', 'RESULTS.md'),
      ...documents,
      join('src', 'ARCHITECTURE.md'),
      join('src', 'road.svg'),
      ...migrations,
    ];
    expect(others.sort()).toEqual(allowed.sort());
  });

  test('every link within its documents leads to a file that is in it, or elsewhere by a whole address', () => {
    const broken: string[] = [];
    let links = 0;
    for (const file of filesBelow(installed).filter((name) => name.endsWith('.md'))) {
      const text = readFileSync(join(installed, file), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
      for (const [, target] of text.matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)) {
        links++;
        const isElsewhere = /^https:\/\//.test(target!);
        if (!isElsewhere && !existsSync(join(installed, dirname(file), target!))) broken.push(`${file}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
    expect(links).toBeGreaterThan(10);
  });

  test("what the public declarations lead to names no library's types but the standard's and Node's", () => {
    const seen = new Set<string>();
    const foreign = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const [, from] of readFileSync(file, 'utf8').matchAll(/(?:\bfrom |\bimport\()'([^']+)'/g)) {
        if (from!.startsWith('.')) visit(join(dirname(file), from!.replace(/\.[jt]s$/, '.d.ts')));
        else if (!from!.startsWith('node:')) foreign.add(from!);
      }
    };
    for (const entry of entries) visit(join(installed, 'dist', `${entry}.d.ts`));
    expect(seen.size).toBeGreaterThan(10);
    expect([...foreign]).toEqual(['@standard-schema/spec']);
  });

  test('every import and every thread entry leads to a file that is there', () => {
    const broken: string[] = [];
    let entries = 0;
    for (const file of filesBelow(join(installed, 'dist')).filter((name) => name.endsWith('.js'))) {
      const path = join(installed, 'dist', file);
      const text = readFileSync(path, 'utf8');
      const imports = [...text.matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'|^import '(\.[^']+)'/gm)];
      for (const [, from, bare] of imports) {
        const target = (from ?? bare)!;
        if (!target.endsWith('.js') || !existsSync(join(dirname(path), target))) broken.push(`${file}: ${target}`);
      }
      for (const [, entry] of text.matchAll(/ownFile\('(\.\/[^']+)'/g)) {
        entries++;
        if (!existsSync(join(dirname(path), `${entry}.js`))) broken.push(`${file}: ${entry}`);
      }
    }
    expect(broken).toEqual([]);
    expect(entries).toBeGreaterThan(1);
  });
});

test('api/trunkline.api.md says what its declarations say', () => {
  expect(readFileSync(apiReportFile, 'utf8'), 'the public surface has changed: run `npm run api`').toBe(
    apiReport(installed),
  );
});

test('each of its methods has a comment, where editors look: before the first overload', () => {
  expect(uncommented(installed)).toEqual([]);
});

describe('what the tools of package authors say of the tarball', () => {
  test('publint: nothing', () => {
    expect(run(join(bin, 'node'), [join(bin, 'publint'), '--strict', tarball])).toContain('All good!');
  });

  test('attw: its types are found and are of the code that runs, by every way to import an ES module', () => {
    run(join(bin, 'node'), [join(bin, 'attw'), '--profile', 'esm-only', '--no-color', tarball]);
  });
});

describe('a program that has installed it', () => {
  test('starts threads, gets receipts, closes, starts again, and ends by itself', () => {
    const seen = JSON.parse(run(join(bin, 'node'), ['main.js', join(consumer, 'data')]));
    expect(seen).toEqual({
      heard: 101,
      versions: 10,
      value: 455,
      events: [{ type: 'Added', data: { amount: 5 }, version: 11 }],
      rejected: 'negative',
      stored: 11,
      native: [true, false], // lmdb's, and nothing of msgpackr's
      closed: true,
      lastEnd: 'clean',
      afterRestart: 456,
      needed: ['InvalidOptions', '@platformatic/kafka', 'InvalidOptions', 'kafkajs@2.2.4'],
      given: 5,
    });
  });

  test('may be CommonJS: by require(), its aggregates named by path', () => {
    const seen = JSON.parse(run(join(bin, 'node'), ['legacy.cjs', join(consumer, 'legacy-data')]));
    expect(seen).toEqual({ value: 2, isRuntime: true });
  });

  test('gets the compiled code whatever conditions of its own it sets', () => {
    const names = entries.map((entry) => (entry === 'index' ? 'trunkline' : `trunkline/${entry}`));
    const show = `for (const name of ${JSON.stringify(names)}) console.log(import.meta.resolve(name))`;
    for (const conditions of [[], ['--conditions=development'], ['--conditions=source'], ['--conditions=production']]) {
      const resolved = run(join(bin, 'node'), [...conditions, '--input-type=module', '-e', show])
        .trim()
        .split('\n');
      for (const [i, entry] of entries.entries()) expect(resolved[i]).toMatch(`/trunkline/dist/${entry}.js`);
    }
  });

  test('cannot reach behind the public door', () => {
    const reach = `import('trunkline/dist/runtime.js').catch((error) => console.log(error.code))`;
    expect(run(join(bin, 'node'), ['--input-type=module', '-e', reach]).trim()).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  test('has the command line, which names what it lacks and prints no stack', () => {
    const trunkline = join(consumer, 'node_modules', '.bin', 'trunkline');
    const withNode = { ...env, PATH: `${bin}:${env.PATH}` };
    const call = (...words: string[]) =>
      spawnSync(trunkline, words, { cwd: consumer, env: withNode, encoding: 'utf8' });
    const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    expect(call('--version')).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(call('migrate')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^trunkline: .*TRUNKLINE_POSTGRES\n$/),
    });
    expect(call('status', '--data-dir', join(consumer, 'data')).stdout).toMatch(
      /^log [0-9a-f]{16}\n {2}closed in order/,
    );
  });

  test.each(['true', 'false'])('compiles against its types, skipLibCheck %s', (skipLibCheck) => {
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', skipLibCheck, '--noEmit'];
    const target = ['--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,esnext.disposable'];
    run(join(bin, 'node'), [join(bin, 'tsc'), ...strict, ...target, ...types, 'typed.ts']);
  });
});
