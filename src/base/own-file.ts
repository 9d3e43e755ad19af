// Files of the library's own that threads start from. They lie beside the file that names them: `.ts` in development, `.js`
// when published. A bundler leaves them behind, which is said here rather than by a thread that finds no file.

import { fileURLToPath } from 'node:url';
import { existsSync } from './disk.ts';
import { TrunklineError } from './errors.ts';

/**
 * URL of a file of ours; `entry`: its path without extension, relative to `base` (`import.meta.url` of the caller).
 * @throws LibraryBundled
 */
export function ownFile(entry: string, base: string): URL {
  const extension = /\.[a-z]+$/.exec(new URL(base).pathname)?.[0] ?? '';
  const url = new URL(`${entry}${extension}`, base);
  if (!existsSync(fileURLToPath(url))) throw new TrunklineError('LibraryBundled', { entry, base });
  return url;
}
