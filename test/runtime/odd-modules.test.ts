// Where a user's modules lie, and how they were put together: folders with names that URLs write otherwise, a service in one file,
// reducers that have changed since the snapshot.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchFolder } from './scratch.ts';

const library = new URL('../../src/index.ts', import.meta.url).href;

/** A module's text: an aggregate that counts. */
const counting = (name: string, more: { evolve?: string; snapshot?: string } = {}): string => `
  import { defineAggregate, event } from '${library}';
  export const ${name} = defineAggregate('${name}', {
    module: import.meta.url,
    state: () => ({ total: 0 }),
    events: { Hit: event() },
    evolve: { Hit: ${more.evolve ?? '(state) => ({ total: state.total + 1 })'} },
    snapshot: ${more.snapshot ?? '{}'},
    commands: { hit(one) { one.raise('Hit', {}); return one.state.total; }, total: (one) => one.state.total },
  });`;

/** Files in a folder of their own; what the program `main.mjs` among them prints, as JSON. */
function run(folder: string, files: Readonly<Record<string, string>>, ...args: string[]): unknown {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  const main = join(folder, 'main.mjs');
  const { stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', main, ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout.trim().split('\n').at(-1)!); // of one file, a shard's thread may print, too
}

test('modules and data lie in folders whose names URLs write otherwise', () => {
  const names = [
    'with blank',
    'hash#tag',
    'per%20cent',
    'per%cent',
    'question?mark',
    'ünï-日本-👩',
    `quote'"`,
    'a+b&c;d',
  ];
  const folder = join(scratchFolder(), names.join(' '));
  const imports = names.map(
    (name, i) => `import { A${i} } from ${JSON.stringify(`./${encodeURIComponent(name)}/a.mjs`)};`,
  );
  const aggregates = names.map((_, i) => `A${i}`);
  const handler = `import { appendFileSync } from 'node:fs';
    export default ({ aggregateType }) => appendFileSync('heard', aggregateType + ' ');`;
  const program = `
    import { createRuntime } from '${library}';
    import { readFileSync } from 'node:fs';
    import { join } from 'node:path';
    ${imports.join('\n')}
    const dataDir = join(import.meta.dirname, 'data');
    const context = import.meta.resolve(${JSON.stringify(`./${encodeURIComponent(names[1]!)}/context.mjs`)});
    const moduleRoots = [import.meta.dirname];
    const runtime = await createRuntime({ dataDir, aggregates: [${aggregates}], shards: 1, context, moduleRoots });
    const module = join(import.meta.dirname, ${JSON.stringify(names[3]!)}, 'handler.mjs');
    const subscription = runtime.subscribe({ name: 'elsewhere', thread: 'worker', module });
    const totals = [];
    for (const one of [${aggregates}]) totals.push((await runtime.ref(one, 'x').hit()).value);
    await subscription.caughtUpTo(runtime.status().written);
    await runtime.close();
    console.log(JSON.stringify({ totals, heard: readFileSync('heard', 'utf8').trim().split(' ') }));`;
  const files = Object.fromEntries(names.map((name, i) => [`${name}/a.mjs`, counting(`A${i}`)]));
  const more = { [`${names[1]}/context.mjs`]: 'export default {};', [`${names[3]}/handler.mjs`]: handler };
  expect(run(folder, { ...files, ...more, 'main.mjs': program })).toEqual({
    totals: names.map(() => 1),
    heard: aggregates,
  });
});

test('a service in one file, as a bundler writes it: it starts in the main thread alone, or is told why not', () => {
  const start = `const runtime = await createRuntime({ dataDir: './data', aggregates: [A], shards: 2, logger: false });
    console.log(JSON.stringify((await runtime.ref(A, 'x').hit()).value));
    await runtime.close();`;
  const imports = `import { createRuntime } from '${library}'; import { isMainThread } from 'node:worker_threads';`;
  const guarded = `${imports} ${counting('A')} if (isMainThread) { ${start} }`;
  expect(run(scratchFolder(), { 'main.mjs': guarded })).toBe(1);
  const failed =
    'catch (error) { console.log(JSON.stringify({ code: error.code, module: error.details.module })); process.exit(0); }';
  const bare = `${imports} ${counting('A')} try { ${start} } ${failed}`;
  const folder = scratchFolder();
  expect(run(folder, { 'main.mjs': bare })).toMatchObject({ code: 'RuntimeInsideShard' });
});

test('a reducer that has changed where its text does not show it: the version of the snapshot says so', () => {
  const folder = scratchFolder();
  const program = `
    import { createRuntime } from '${library}';
    import { A } from './a.mjs';
    const runtime = await createRuntime({ dataDir: './data', aggregates: [A], shards: 1 });
    for (let i = 0; i < Number(process.argv[2]); i++) await runtime.ref(A, 'x').hit();
    console.log(JSON.stringify((await runtime.ref(A, 'x').total()).value));
    await runtime.reached('stored');
    await runtime.close();`;
  const by = (step: number, version: number): Record<string, string> => ({
    'step.mjs': `export const step = ${step};`,
    'a.mjs': `import { step } from './step.mjs';
      ${counting('A', { evolve: '(state) => ({ total: state.total + step })', snapshot: `{ every: 5, version: ${version} }` })}`,
    'main.mjs': program,
  });
  expect(run(folder, by(1, 1), '12')).toBe(12);
  expect(run(folder, by(10, 1), '0'), 'two events behind the snapshot').toBe(30);
  expect(run(folder, by(10, 2), '0')).toBe(120);
  expect(run(folder, by(10, 2), '1')).toBe(130);
});
