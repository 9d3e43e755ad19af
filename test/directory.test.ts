import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { replacers } from '../src/base/folder-writers.ts';
import { checkLogOrigin, checkOrigin, openDirectory } from '../src/runtime/directory.ts';

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

const isRoot = process.getuid!() === 0;
const [stranger, nobody] = [1234, 65_534];

/** A directory that is there already, with its owner, group and mode. */
function existing(uid: number, gid: number, mode: number): string {
  const dataDir = fresh();
  mkdirSync(dataDir, { recursive: true });
  for (const above of ['..', '../..']) chmodSync(join(dataDir, above), 0o755);
  if (isRoot) chownSync(dataDir, uid, gid);
  chmodSync(dataDir, mode);
  return dataDir;
}

function warningsOf(dataDir: string): string[] {
  const warnings: string[] = [];
  openDirectory(dataDir, (reason) => warnings.push(reason)).release();
  return warnings;
}

test.each([
  ['by every user', 0, 0, 0o777, 'name a folder below it'],
  ['by every user, who may not rename', 0, 0, 0o1777, 'chmod o-w'],
  ['by a group that this process is not of', 0, nobody, 0o775, 'fsGroup'],
])('one that may be written %s is refused, and nothing is made there', (_, uid, gid, mode, remedy) => {
  if (!isRoot && gid !== 0) return; // only root may give it to that group
  const dataDir = existing(uid, gid, mode);
  expect(() => openDirectory(dataDir)).toThrow(
    expect.objectContaining({ code: 'DataDirUnsafe', message: expect.stringContaining(remedy) }),
  );
  expect(existsSync(join(dataDir, 'trunkline.json'))).toBe(false);
  chmodSync(dataDir, 0o755);
  expect(warningsOf(dataDir)).toEqual([]);
});

test.runIf(isRoot)('owners and groups, as root: a warning says what to do', () => {
  expect(warningsOf(existing(stranger, 0, 0o755))).toEqual([expect.stringContaining('belongs to user 1234')]);
  expect(warningsOf(existing(0, 0, 0o775))).toEqual([]);
  const dataDir = existing(0, 0, 0o755);
  chmodSync(join(dataDir, '..'), 0o777);
  expect(warningsOf(dataDir)).toEqual([expect.stringContaining('may put another directory in its place')]);
  chmodSync(join(dataDir, '..'), 0o1777);
  expect(warningsOf(dataDir)).toEqual([]);
});

/** Who a process of this user would be, alone in its group. */
const self = { uid: 5000, groups: new Set([5000]), ownGroups: new Set([5000]), isRoot: false, keepsModes: true };

/** What the folder above may be, and what is said of it; undefined: nothing. */
const above: readonly [string, uid: number, gid: number, mode: number, string | undefined][] = [
  ["root's", 0, 0, 0o755, undefined],
  ['our own', 5000, 5000, 0o755, undefined],
  ['our own, with umask 002', 5000, 5000, 0o775, undefined],
  ['like /tmp', 0, 0, 0o1777, undefined],
  ["another user's", stranger, stranger, 0o755, 'user 1234 may put another directory in its place'],
  [
    "another user's, with the sticky bit",
    stranger,
    stranger,
    0o1755,
    'user 1234 may put another directory in its place',
  ],
  ['open to every user', 0, 0, 0o757, 'every user may put another directory in its place'],
  ['open to a group', 0, 50, 0o775, 'every user of group 50 may put another directory in its place'],
  ['open to a group that has the setgid bit', 0, 50, 0o2775, 'every user of group 50 may put another'],
];

test.runIf(isRoot).each(above)('a folder above that is %s', (_, uid, gid, mode, said) => {
  const dataDir = existing(5000, 5000, 0o700);
  const parent = join(dataDir, '..');
  chownSync(parent, uid, gid);
  chmodSync(parent, mode);
  const expected = said === undefined ? [] : [expect.stringContaining(said)];
  expect(replacers(dataDir, self)).toEqual(expected);
  // The same for a link on the way to it, and behind a link.
  for (const [link, target] of [
    [join(parent, 'link'), existing(5000, 5000, 0o700)],
    [join(existing(0, 0, 0o755), 'link'), dataDir],
  ] as const) {
    symlinkSync(target, link);
    lchownSync(link, 5000, 5000);
    expect(replacers(join(link, 'log', '..'), self), link).toEqual(expected);
    expect(replacers(link, self), link).toEqual(expected);
  }
});

test.runIf(isRoot)(
  'in a folder with the sticky bit another user puts what he owns in the place of what he owns',
  () => {
    const tmp = existing(0, 0, 0o1777);
    symlinkSync(existing(5000, 5000, 0o700), join(tmp, 'link'));
    lchownSync(join(tmp, 'link'), stranger, stranger);
    expect(replacers(join(tmp, 'link'), self)).toEqual([expect.stringContaining('user 1234 may put another')]);
    for (const round of ['a', 'b']) symlinkSync(join(tmp, round === 'a' ? 'b' : 'a'), join(tmp, round));
    expect(() => replacers(join(tmp, 'a'), self)).toThrow('ELOOP');
  },
);

test('a folder of ours that is a link: whoever can replace what it leads to is named', () => {
  const dataDir = fresh();
  openDirectory(dataDir).release();
  const disk = join(dataDir, '../disk');
  mkdirSync(join(disk, 'log'), { recursive: true, mode: 0o700 });
  chmodSync(disk, 0o777);
  rmSync(join(dataDir, 'log'), { recursive: true });
  symlinkSync(join(disk, 'log'), join(dataDir, 'log'));
  const said = `every user may put another directory in its place, in ${disk}`;
  expect(warningsOf(dataDir)).toEqual([expect.stringMatching(`^log: ${said}`)]);
});

const { setAttrSync } = createRequire(import.meta.url)('fs-native-extensions') as {
  setAttrSync(descriptor: number, name: string, value: Buffer): void;
};

/** An access list that gives a user (tag 2) or group (tag 8) every right. */
function giveAccess(folder: string, tag: 2 | 8, id: number): boolean {
  const none = 0xffff_ffff;
  const entries = [
    [1, 7, none],
    [tag, 7, id],
    [4, 0, none],
    [0x10, 7, none],
    [0x20, 0, none],
  ] as const;
  const list = Buffer.alloc(4 + 8 * entries.length);
  list.writeUInt32LE(2);
  const sorted = [...entries].sort(([a], [b]) => a - b);
  for (const [i, [kind, rights, who]] of sorted.entries()) {
    list.writeUInt16LE(kind, 4 + i * 8);
    list.writeUInt16LE(rights, 6 + i * 8);
    list.writeUInt32LE(who, 8 + i * 8);
  }
  const descriptor = openSync(folder, 'r');
  try {
    setAttrSync(descriptor, 'system.posix_acl_access', list);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOTSUP') return false; // this file system has none
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

test.runIf(process.platform === 'linux').each([
  ['user', 2],
  ['group', 8],
] as const)('a %s that an access list lets in counts as one that the mode does', (kind, tag) => {
  const dataDir = fresh();
  openDirectory(dataDir).release();
  if (!giveAccess(dataDir, tag, stranger)) return;
  const by = `${kind} 1234 (by an access list)`;
  expect(() => openDirectory(dataDir)).toThrow(
    expect.objectContaining({ code: 'DataDirUnsafe', message: expect.stringContaining(`may be written by ${by}`) }),
  );
  const inner = join(dataDir, 'inner');
  expect(warningsOf(inner)).toEqual([expect.stringContaining(`${by} may put another directory in its place`)]);
  giveAccess(join(inner, 'log'), tag, stranger); // closed by the next start, like a mode
  openDirectory(inner).release();
  expect(statSync(join(inner, 'log')).mode & 0o077).toBe(0);
});

test.runIf(isRoot)('owners and groups, as another user: what a volume of Kubernetes gives is taken', async () => {
  expect(await elsewhere(existing(0, nobody, 0o2775), nobody)).toBe('held'); // fsGroup
  expect(await elsewhere(existing(stranger, nobody, 0o2775), nobody)).toBe('held'); // and the service has another user now
  expect(await elsewhere(existing(0, nobody, 0o2777), nobody)).toBe('DataDirUnsafe');
  expect(await elsewhere(existing(stranger, 0, 0o755), nobody)).toBe('DataDirNotWritable');
  const open = existing(stranger, 0, 0o777);
  expect(await elsewhere(open, nobody)).toBe('DataDirUnsafe');
  expect(await elsewhere(join(open, 'below'), nobody)).toBe('held'); // as the refusal says
});

test('links in it: of a file none is followed, of a folder only our own', () => {
  const dataDir = fresh();
  openDirectory(dataDir).release();
  const victim = join(dataDir, '../victim');
  writeFileSync(victim, 'untouched');
  symlinkSync(victim, join(dataDir, `.probe-${process.pid}`));
  symlinkSync(victim, join(dataDir, 'trunkline.json.new'));
  openDirectory(dataDir).release();
  for (const name of ['lock', 'trunkline.json', 'log-secret.json']) {
    const file = join(dataDir, name);
    rmSync(file, { force: true });
    symlinkSync(victim, file);
    expect(() => openDirectory(dataDir), name).toThrow(
      expect.objectContaining({ code: 'DataDirUnsafe', details: expect.objectContaining({ path: file }) }),
    );
    rmSync(file);
  }
  expect(readFileSync(victim, 'utf8')).toBe('untouched');
  const [log, disk] = [join(dataDir, 'log'), join(dataDir, '../disk')];
  rmSync(log, { recursive: true });
  mkdirSync(disk);
  symlinkSync(disk, log);
  openDirectory(dataDir).release(); // another disk's
  if (!isRoot) return;
  lchownSync(log, stranger, stranger);
  expect(() => openDirectory(dataDir)).toThrow(expect.objectContaining({ code: 'DataDirUnsafe' }));
});

test('what a copy has opened to others is closed again: they could read it, or hold the lock', () => {
  const dataDir = fresh();
  openDirectory(dataDir).release();
  writeFileSync(join(dataDir, 'log-secret.json'), '{}');
  const entries = ['lock', 'trunkline.json', 'log-secret.json', 'log', 'store'];
  for (const name of entries) chmodSync(join(dataDir, name), 0o777);
  openDirectory(dataDir).release();
  for (const name of entries) expect(statSync(join(dataDir, name)).mode & 0o007, name).toBe(0);
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
