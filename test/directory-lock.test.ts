// A file system on which locks do nothing (as some network mounts have it) is no place for a data directory: found by asking
// twice. The addon is put in a state in which it grants every lock, as it would there.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';

test('where every lock is granted, none is, and nothing stays open', async () => {
  const addon = createRequire(import.meta.url)('fs-native-extensions') as { tryLock(descriptor: number): boolean };
  const { tryLock } = addon;
  const asked: number[] = [];
  addon.tryLock = (descriptor) => asked.push(descriptor) > 0;
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-lock-'));
  onTestFinished(() => {
    addon.tryLock = tryLock;
    rmSync(folder, { recursive: true });
  });
  vi.resetModules();
  const { DirectoryLock } = await import('../src/directory-lock.ts');
  const file = join(folder, 'lock');
  for (const take of [() => DirectoryLock.take(folder, file), () => DirectoryLock.takeContent(folder, file)]) {
    expect(take).toThrow(
      expect.objectContaining({ code: 'DataDirNotWritable', message: expect.stringMatching(/twice/) }),
    );
  }
  expect(new Set(asked).size).toBe(2); // both descriptors are free again for the second one
});
