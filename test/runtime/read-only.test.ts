// A service writes into its data directory and nowhere else: it runs in a container whose root is read-only.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { scratchFolder } from './scratch.ts';

/** In mounts of its own: $0 stays writable, everything else is read-only; the rest is the program. */
const confined = `
  mount --bind "$0" "$0" || exit 70
  for place in $(cut -d' ' -f2 /proc/mounts); do
    case "$place" in "$0"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$place" 2>/dev/null ;; esac
  done
  exec "$@"`;

test('where only its data directory can be written, a service starts, stores and handles (needs root)', async () => {
  const dataDir = scratchFolder();
  mkdirSync(dataDir, { mode: 0o700 });
  const program = fileURLToPath(new URL('./read-only-process.ts', import.meta.url));
  const places = ['/', tmpdir(), dirname(dataDir), process.cwd()];
  const node = [process.execPath, '--conditions=trunkline-source', program, dataDir, ...places];
  const { stdout } = await promisify(execFile)('unshare', ['-m', 'sh', '-c', confined, dataDir, ...node]);
  expect(JSON.parse(stdout)).toEqual({ refused: places.map(() => 'EROFS'), total: 1 });
}, 240_000);
