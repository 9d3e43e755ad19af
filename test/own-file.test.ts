// What the library starts threads from lies beside it; a bundle that lacks it is told so by name.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { ownFile } from '../src/base/own-file.ts';

test('a file of ours is found, one that was left behind is LibraryBundled', () => {
  const base = new URL('../src/log/threads.ts', import.meta.url).href;
  expect(existsSync(fileURLToPath(ownFile('./thread', base)))).toBe(true);
  for (const wrong of ['file:///srv/app/bundle.mjs', 'file:///srv/app/bundle.js', 'file:///srv/app/bundle']) {
    expect(() => ownFile('./thread', wrong)).toThrow(
      expect.objectContaining({ code: 'LibraryBundled', message: expect.stringContaining('external') }),
    );
  }
});

test('nothing starts a file of ours in another way', () => {
  const search = spawnSync('grep', ['-rnE', 'import\\.meta\\.filename|new URL\\(`', 'src'], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    encoding: 'utf8',
  });
  const places = search.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('src/base/own-file.ts'));
  expect(places).toEqual([]);
});

test('a module whose first state has changed does not go on from an older snapshot', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-state-'));
  const main = join(folder, 'main.ts');
  const index = pathToFileURL(fileURLToPath(new URL('../src/index.ts', import.meta.url))).href;
  const tally = (initial: string): void =>
    writeFileSync(
      join(folder, 'tally.ts'),
      `import { defineAggregate, event } from '${index}';
      const initial = ${initial};
      export const Tally = defineAggregate('tally', {
        module: import.meta.url, state: () => initial, events: { Added: event() }, snapshot: { every: 2 },
        evolve: { Added: (state) => ({ ...state, total: state.total + 1 }) },
        commands: { add(t) { t.raise('Added', {}); } },
      });`,
    );
  writeFileSync(
    main,
    `import { createRuntime } from '${index}';
    import { Tally } from './tally.ts';
    const runtime = await createRuntime({ dataDir: './data', aggregates: [Tally], shards: 1 });
    for (let i = 0; i < 5; i++) await runtime.ref(Tally, 'a').add();
    await runtime.reached('stored');
    console.log(JSON.stringify((await runtime.state(Tally, 'a')).state));
    await runtime.close();`,
  );
  const run = (): unknown => {
    const { stdout, stderr } = spawnSync(process.execPath, [main], { cwd: folder, encoding: 'utf8' });
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  };
  try {
    tally('{ total: 0 }');
    expect(run()).toEqual({ total: 5 });
    tally("{ total: 0, currency: 'EUR' }");
    expect(run()).toEqual({ total: 10, currency: 'EUR' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
