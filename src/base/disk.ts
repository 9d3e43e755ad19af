// The file system, as all of src has it: from here, so that a simulation can replace it by a disk of its own, which knows what is
// written, synced, torn and lost. LMDB's own files go by lmdb-open.ts. Files are made and opened in private-file.ts and
// foreign-file.ts alone (test/private-file.test.ts, test/foreign-file.test.ts). Any thread.
export type { FSWatcher, Stats } from 'node:fs';
export {
  accessSync,
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  fchmodSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs';
export { lstat, mkdir, open, readdir, readFile, realpath, rename, rm, stat, unlink } from 'node:fs/promises';
