// A file system on which locks do nothing (as some network mounts have it) is no place for a data directory, and neither is a
// lock on a file that another has taken the place of: each is found by looking again. The addon is put in a state in which it
// grants every lock, as it would there.
import { mkdtempSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';

const addon = createRequire(import.meta.url)('fs-native-extensions') as { tryLock(descriptor: number): boolean };
const { tryLock } = addon;
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-lock-'));
  file = join(folder, 'lock');
  onTestFinished(() => {
    addon.tryLock = tryLock;
    rmSync(folder, { recursive: true });
  });
  vi.resetModules();
});

/** Files of the folder that this process has open. */
function open(): string[] {
  const links = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      return ''; // closed since
    }
  });
  return links.filter((link) => link.startsWith(folder));
}

const refused = (why: RegExp): unknown =>
  expect.objectContaining({ code: 'DataDirNotWritable', message: expect.stringMatching(why) });

test('where every lock is granted, none is, and nothing stays open', async () => {
  addon.tryLock = () => true;
  const { DirectoryLock } = await import('../src/runtime/directory-lock.ts');
  expect(() => DirectoryLock.take(folder, file)).toThrow(refused(/twice/));
  expect(() => DirectoryLock.takeContent(folder, file)).toThrow(refused(/twice/));
  expect(open()).toEqual([]);
});

test('a file that another takes the place of before it is locked is not held, and nothing stays open', async () => {
  addon.tryLock = (descriptor) => {
    writeFileSync(`${file}-other`, '');
    renameSync(`${file}-other`, file);
    return tryLock(descriptor);
  };
  const { DirectoryLock } = await import('../src/runtime/directory-lock.ts');
  expect(() => DirectoryLock.take(folder, file)).toThrow(refused(/was replaced/));
  expect(open()).toEqual([]);
});
