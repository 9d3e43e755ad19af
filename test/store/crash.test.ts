// Killed in mid-flush, at any moment, again and again: what is there afterwards is a prefix of the log, and its checkpoint
// says how long. Damaged: refused by name, or read rightly; never a crash of the process that opens it.
import { spawn } from 'node:child_process';
import { cpSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { dataFileOf } from '../../src/adapters/lmdb/store/environment.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { History } from '../../src/store/history.ts';
import { TestControlBlock } from '../control-block.ts';
import { allIds, idAt, killedGroups } from './killed.ts';
import { batchOf, collect, MemoryLog, temporaryFolder, usedPagesOf } from './sample.ts';

const pathOf = (name: string): string => fileURLToPath(new URL(`./${name}`, import.meta.url));

/** Let a child write until it has said so many checkpoints, kill it, and return the last one it said. */
async function killAfter(folder: string, seed: number, commits: number): Promise<number> {
  const child = spawn(process.execPath, [pathOf('crashing-child.ts'), folder, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = 0;
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    said = Number(line);
    if (++lines === commits) child.kill('SIGKILL');
  }
  expect(lines).toBeGreaterThanOrEqual(commits); // it did not end by itself
  return said;
}

async function check(folder: string, atLeast: number): Promise<void> {
  const sink = new EmbeddedSink(folder, 'log-1');
  const checkpoint = await sink.open(); // examined in a child first
  const store = EmbeddedStore.open(folder);
  try {
    expect(checkpoint).toBeGreaterThanOrEqual(atLeast);
    const control = new TestControlBlock();
    control.publish('written', checkpoint);
    const history = new History(store, new MemoryLog(), control);
    let next = 1;
    for await (const event of history.events()) {
      expect(event.position).toBe(next);
      expect(event.aggregateId).toBe(idAt(next));
      expect(event.data).toEqual({ position: next });
      next++;
    }
    expect(next - 1).toBe(checkpoint);
    for (const id of allIds) {
      const versions = (await store.getByAggregate('call', id)).map(({ version }) => version);
      expect(versions).toEqual(versions.map((_, i) => i + 1));
    }
    const byType = await Promise.all(['Type0', 'Type1', 'Type2'].map((type) => store.getByType(type)));
    expect(byType.flat()).toHaveLength(checkpoint);
    const late = await collect(history.events({ since: new Date(checkpoint - 9) }));
    expect(late).toHaveLength(10);
    // And it goes on.
    sink.write(batchOf(checkpoint + 1, killedGroups(checkpoint + 1, 60)));
    expect(store.checkpoint()).toBe(checkpoint + 60);
  } finally {
    await store.close();
    await sink.close();
  }
}

test('killed in mid-flush, six times over: a prefix with no hole, and nothing that was committed is missing', async () => {
  const folder = temporaryFolder(onTestFinished);
  for (let seed = 1; seed <= 6; seed++) {
    const said = await killAfter(folder, seed, 1 + ((seed * 7) % 23));
    if (seed % 2 === 0) await check(folder, said);
  }
});

describe('a damaged store', () => {
  async function makeStore(): Promise<string> {
    const folder = temporaryFolder(onTestFinished);
    const sink = new EmbeddedSink(folder, 'log-1');
    let position = await sink.open();
    for (let i = 0; i < 10; i++) {
      sink.write(batchOf(position + 1, killedGroups(position + 1, 400)));
      position += 400;
    }
    await sink.close();
    return folder;
  }

  function readInChild(folder: string): Promise<string> {
    const child = spawn(process.execPath, [pathOf('reading-child.ts'), folder], { stdio: 'inherit' });
    return new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? String(code))));
  }

  test.each([0.02, 0.3, 0.7, 0.99])('cut to %f of its length is refused', async (part) => {
    const folder = await makeStore();
    const file = dataFileOf(folder);
    truncateSync(file, Math.floor(statSync(file).size * part));
    await expect(new EmbeddedSink(folder, 'log-1').open()).rejects.toMatchObject({ code: 'StoreDamaged' });
  });

  test('with garbage for its first pages is refused', async () => {
    const folder = await makeStore();
    const file = openSync(dataFileOf(folder), 'r+');
    writeSync(file, Buffer.alloc(8192, 0x5a), 0, 8192, 0);
    await expect(new EmbeddedSink(folder, 'log-1').open()).rejects.toMatchObject({ code: 'StoreDamaged' });
  });

  test.each([
    ['closed in order', true],
    ['killed', false],
  ])(
    '%s, then with garbage for pages, whichever, is refused or read rightly, and never ends the process',
    async (_, isMarked) => {
      const whole = await makeStore();
      if (!isMarked) rmSync(join(whole, 'clean'));
      const pages = usedPagesOf(dataFileOf(whole));
      const outcomes = new Set<string>();
      for (let i = 0; i < 10; i++) {
        const folder = join(temporaryFolder(onTestFinished), 'store');
        cpSync(whole, folder, { recursive: true });
        const first = 2 + Math.floor(((pages - 3) * i) / 9);
        const last = i % 2 === 0 ? first : pages - 2; // one, or all but the last, where the youngest root is
        const garbage = Buffer.alloc((last - first + 1) * 4096, 0xa5 + i);
        writeSync(openSync(dataFileOf(folder), 'r+'), garbage, 0, garbage.length, first * 4096);
        const outcome = await readInChild(folder);
        outcomes.add(outcome);
      }
      expect([...outcomes]).toContain('3');
      for (const outcome of outcomes) expect(['0', '3']).toContain(outcome);
    },
  );
});
