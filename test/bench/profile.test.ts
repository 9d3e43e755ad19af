// npm run bench -- --profile: a file that a viewer of CPU profiles opens.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
const folder = fileURLToPath(new URL('../../bench/.profiles/serialise-payload/', import.meta.url));

test('leaves a profile with the work in it', () => {
  const flags = ['--conditions=trunkline-source', program, '--profile', 'serialise-payload', '--quick'];
  expect(spawnSync(process.execPath, flags, { encoding: 'utf8' }).status).toBe(0);
  const [file] = readdirSync(folder);
  const profile = JSON.parse(readFileSync(`${folder}${file}`, 'utf8'));
  expect(profile.samples.length).toBe(profile.timeDeltas.length);
  expect(profile.nodes.map((node: any) => node.callFrame.functionName)).toContain('toPlain');
});
