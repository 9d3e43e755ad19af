// One suite with a CPU profile of each of its threads: files that Chrome's DevTools, VS Code or speedscope open.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runSuite, type Size, suites } from './suites.ts';
import { printRows } from './table.ts';

const folder = new URL('./.profiles/', import.meta.url);

/** Which thread a profile is of, by the module that only that thread runs. */
const entries: readonly (readonly [module: string, thread: string])[] = [
  ['src/log/thread.ts', 'log'],
  ['src/log/sync-thread.ts', 'sync'],
  ['src/flush/flush-thread.ts', 'flush'],
  ['src/shard/thread.ts', 'shard'],
  ['src/runtime/runtime.ts', 'caller'],
];
const threadOf = (profile: string): string => entries.find(([module]) => profile.includes(module))?.[1] ?? 'other';

export async function profileSuite(name: string, size: Size): Promise<void> {
  if (!suites.includes(name)) throw new Error(`there is no suite ${name}; there are ${suites.join(', ')}`);
  const into = fileURLToPath(new URL(`${name}/`, folder));
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const { rows } = await runSuite(name, size, ['--cpu-prof', `--cpu-prof-dir=${into}`, '--cpu-prof-interval=200']);
  printRows(rows);
  const profiles = readdirSync(into).filter((file) => file.endsWith('.cpuprofile'));
  console.log(`\n${profiles.length} profiles, one a thread, in bench/.profiles/${name}:`);
  for (const [i, file] of profiles.entries()) {
    const named = `${threadOf(readFileSync(join(into, file), 'utf8'))}-${i + 1}.cpuprofile`;
    renameSync(join(into, file), join(into, named));
    console.log(`  ${named}`);
  }
  console.log("open them in Chrome's DevTools (Performance, Load profile), VS Code or https://www.speedscope.app");
  console.log('the figures above include what profiling costs');
}
