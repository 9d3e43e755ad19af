import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

const module = new URL('./file-sink.ts', import.meta.url).href;

test('a sink of the user’s follows the log in order, past its failures and over restarts', async () => {
  const dataDir = scratchFolder();
  const file = join(dataDir, '..', 'sink.txt');
  const sinks = [{ name: 'file', module, options: { file } }];
  for (let run = 0; run < 3; run++) {
    const runtime = await startRuntime({ dataDir, sinks });
    await Promise.all(Array.from({ length: 10 }, (_, i) => runtime.ref(Counter, `c${i % 3}`).addMany(4)));
    await runtime.close();
  }
  const events = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(' '));
  expect(events).toHaveLength(120);
  const versions = new Map<string, number>();
  let position = 0;
  for (const [at, id, version] of events as [string, string, string][]) {
    expect(Number(at)).toBeGreaterThan(position);
    position = Number(at);
    expect(Number(version)).toBe((versions.get(id) ?? 0) + 1);
    versions.set(id, Number(version));
  }
});

test('a sink whose module cannot be loaded is named at the start', async () => {
  const sinks = [{ name: 'missing', module: new URL('./missing.ts', import.meta.url).href }];
  const error = await errorOf(createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [Counter], sinks }));
  expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'sinks.missing.module' } });
});

test('two cursors of one name are refused', async () => {
  const sinks = [
    { name: 'file', module },
    { name: 'file', module },
  ];
  const error = await errorOf(createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [Counter], sinks }));
  expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'sinks' } });
});
