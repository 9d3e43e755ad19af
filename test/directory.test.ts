import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { checkLogOrigin, checkOrigin, openDirectory } from '../src/directory.ts';

const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function fresh(): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-directory-'));
  made.push(folder);
  return join(folder, 'deep', 'data');
}

const entry = fileURLToPath(new URL('./holding-thread.ts', import.meta.url));

test('is made for its owner alone, and says its format', () => {
  const dataDir = fresh();
  const directory = openDirectory(dataDir);
  for (const folder of [dataDir, directory.logFolder, directory.storeFolder]) {
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  }
  expect(JSON.parse(readFileSync(join(dataDir, 'trunkline.json'), 'utf8'))).toEqual({ format: 1 });
  directory.release();
  directory.release();
  openDirectory(dataDir).release();
});

test('has one owner: not this process twice, nor another of its threads', async () => {
  const dataDir = fresh();
  const directory = openDirectory(dataDir);
  expect(() => openDirectory(dataDir)).toThrow(expect.objectContaining({ code: 'DataDirInUse', details: { dataDir } }));
  const ask = async (): Promise<unknown> => (await once(new Worker(entry, { workerData: dataDir }), 'message'))[0];
  expect(await ask()).toBe('DataDirInUse');
  directory.release();
  expect(await ask()).toBe('held');
});

test('is free again as soon as its owner is killed', async () => {
  const dataDir = fresh();
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, [entry, dataDir], { stdio: ['pipe', 'pipe', 'inherit'] });
    expect(String((await once(child.stdout, 'data'))[0])).toBe('held');
    expect(() => openDirectory(dataDir)).toThrow(expect.objectContaining({ code: 'DataDirInUse' }));
    child.kill('SIGKILL');
    await once(child, 'exit');
    openDirectory(dataDir).release();
  }
});

/** Whether a process of its own gets the directory: as another user, if we may choose. */
async function elsewhere(dataDir: string, uid?: number): Promise<string> {
  const child = spawn(process.execPath, [entry, dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(uid !== undefined && process.getuid!() === 0 && { uid, gid: uid }),
  });
  const said = String((await once(child.stdout, 'data'))[0]);
  child.stdin.end();
  await once(child, 'exit');
  return said;
}

test('is held whatever its owner does with files of the same name: copies them, reads them, removes the lock', async () => {
  const dataDir = fresh();
  const directory = openDirectory(dataDir);
  cpSync(dataDir, `${dataDir}-copy`, { recursive: true });
  readFileSync(join(dataDir, 'lock'));
  writeFileSync(join(dataDir, 'lock'), 'x');
  expect(await elsewhere(dataDir)).toBe('DataDirInUse');
  rmSync(join(dataDir, 'lock'));
  expect(await elsewhere(dataDir)).toBe('DataDirInUse');
  directory.remember({ logId: '0123456789abcdef', holds: 'events' }); // the file is another one now
  rmSync(join(dataDir, 'lock'));
  expect(await elsewhere(dataDir)).toBe('DataDirInUse');
  directory.release();
  expect(await elsewhere(dataDir)).toBe('held');
  openDirectory(`${dataDir}-copy`).release();
});

test.each(['lock', 'trunkline.json'])('%s that may not be written is refused by name, held or not', async (name) => {
  const dataDir = fresh();
  openDirectory(dataDir).release();
  const nobody = 65_534;
  if (process.getuid!() === 0) {
    for (const path of [join(dataDir, '..'), dataDir, join(dataDir, 'log'), join(dataDir, 'store')]) {
      chownSync(path, nobody, nobody);
      chmodSync(path, 0o700);
    }
    for (const file of ['lock', 'trunkline.json']) chownSync(join(dataDir, file), nobody, nobody);
    chmodSync(join(dataDir, '..', '..'), 0o711);
  }
  expect(await elsewhere(dataDir, nobody)).toBe('held');
  if (process.getuid!() === 0) chownSync(join(dataDir, name), 0, 0);
  chmodSync(join(dataDir, name), 0o444);
  expect(await elsewhere(dataDir, nobody)).toBe('DataDirNotWritable');
});

test('the log that has begun in it is remembered, and missing afterwards is an error', () => {
  const dataDir = fresh();
  const origin = { logId: '0123456789abcdef', holds: 'events' } as const;
  const first = openDirectory(dataDir);
  expect(first.origin).toBeUndefined();
  first.remember(origin);
  first.release();
  const again = openDirectory(dataDir);
  expect(again.origin).toEqual(origin);
  const file = join(again.logFolder, 'log.json');
  expect(() => checkOrigin(again, file)).toThrow(expect.objectContaining({ code: 'LogDamaged' }));
  writeFileSync(file, '');
  checkOrigin(again, file);
  checkLogOrigin(again, origin.logId);
  expect(() => checkLogOrigin(again, 'fedcba9876543210')).toThrow(expect.objectContaining({ code: 'LogDamaged' }));
  again.release();
});

test('a file in the way, a place where nothing can be written', () => {
  const dataDir = fresh();
  mkdirSync(join(dataDir, '..'), { recursive: true });
  writeFileSync(dataDir, '');
  for (const wrong of [dataDir, join(dataDir, 'below'), '/proc/self', '/proc/none/data']) {
    const error = expect.objectContaining({
      code: 'DataDirNotWritable',
      details: expect.objectContaining({ dataDir: wrong }),
    });
    expect(() => openDirectory(wrong), wrong).toThrow(error);
  }
});

test('a newer format, and one that cannot be understood, are refused and left alone', () => {
  const dataDir = fresh();
  openDirectory(dataDir).release();
  const file = join(dataDir, 'trunkline.json');
  for (const [text, code] of [
    ['{"format":2}', 'DataDirNewerFormat'],
    ['{"format":0}', 'DataDirUnreadable'],
    ['', 'DataDirUnreadable'],
    ['null', 'DataDirUnreadable'],
  ] as const) {
    writeFileSync(file, text);
    expect(() => openDirectory(dataDir)).toThrow(expect.objectContaining({ code }));
    expect(readFileSync(file, 'utf8')).toBe(text);
  }
  writeFileSync(file, '{"format":1}');
  openDirectory(dataDir).release();
});
