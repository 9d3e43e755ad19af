// A small disk of its own, in memory, to be filled to its last byte and freed again. Needs root, or the right to mount:
// without it a test that wants one fails, and says so; it is never passed over.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export class SmallDisk {
  readonly path: string;
  private readonly ballast: string;

  private constructor(path: string) {
    this.path = path;
    this.ballast = join(path, 'ballast');
  }

  /** In a folder `disk` of `parent`; `files`: how many it may have in all, 0 for any number. */
  static mount(bytes: number, parent: string, files = 0): SmallDisk {
    const path = join(parent, 'disk');
    mkdirSync(path, { recursive: true });
    const { status, stderr } = spawnSync('mount', [
      '-t',
      'tmpfs',
      '-o',
      `size=${bytes},nr_inodes=${files}`,
      'none',
      path,
    ]);
    if (status === 0) return new SmallDisk(path);
    throw new Error(`tests of a full disk mount a small one, which needs root (CAP_SYS_ADMIN): ${stderr}`);
  }

  /** Another writer takes so many bytes; by default all that there are. */
  fill(bytes: number = Number.POSITIVE_INFINITY): void {
    const descriptor = openSync(this.ballast, 'a');
    let left = bytes;
    for (let size = 1 << 20; size >= 1 && left > 0; ) {
      try {
        const count = writeSync(descriptor, Buffer.alloc(Math.min(size, left), 1));
        left -= count;
        if (count < size) size >>= 1;
      } catch {
        size >>= 1;
      }
    }
    closeSync(descriptor);
  }

  /** The other writer gives it all back. */
  free(): void {
    rmSync(this.ballast, { force: true });
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.path]);
  }

  [Symbol.dispose](): void {
    this.unmount();
  }
}
