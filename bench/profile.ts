// One suite with a CPU profile of each of its threads: files that Chrome's DevTools, VS Code or speedscope open.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runSuite, type Size, suites } from './suites.ts';
import { printRows } from './table.ts';

const folder = new URL('./.profiles/', import.meta.url);

export async function profileSuite(name: string, size: Size): Promise<void> {
  if (!suites.includes(name)) throw new Error(`there is no suite ${name}; there are ${suites.join(', ')}`);
  const into = fileURLToPath(new URL(`${name}/`, folder));
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const { rows } = await runSuite(name, size, ['--cpu-prof', `--cpu-prof-dir=${into}`, '--cpu-prof-interval=200']);
  printRows(rows);
  const profiles = readdirSync(into).filter((file) => file.endsWith('.cpuprofile'));
  console.log(`\n${profiles.length} profiles, one a thread, in bench/.profiles/${name}:`);
  for (const file of profiles) console.log(`  ${file}`);
  console.log("open them in Chrome's DevTools (Performance, Load profile), VS Code or https://www.speedscope.app");
  console.log('the figures above include what profiling costs');
}
