// What the file system says of a path that a user has named, in words. Node's text names a system call, and of a draft beside the
// file a path that the user has never written.

import { refused } from './foreign-file.ts';
import { own } from './own.ts';

const words: Readonly<Record<string, string>> = {
  EACCES: 'this user has no permission for it, or for a folder on the way',
  EPERM: 'this user has no permission for it',
  EEXIST: 'a file stands where a folder is expected',
  ENOTDIR: 'a file stands where a folder is expected',
  EISDIR: 'it is a folder, and a file is expected',
  ERR_FS_EISDIR: 'it is a folder, and a file is expected',
  ELOOP: 'its symbolic links lead nowhere',
  ENAMETOOLONG: 'its name is too long',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its disk is full',
  EDQUOT: 'its disk is full',
};

/** undefined: it is no error of the file system. */
export function pathFault(error: unknown, isMissing = 'it is not there'): string | undefined {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== 'string') return undefined;
  const reason = code === 'ENOENT' ? isMissing : own(words, code);
  return reason === undefined ? undefined : `${reason} (${code.replace('ERR_FS_', '')})`;
}

/** @throws FileRefused, which names the path; what else goes wrong in the work, as it is */
export function onPath<T>(path: string, doing: 'read' | 'written' | 'imported', work: () => T): T {
  try {
    return work();
  } catch (error) {
    const fault = pathFault(error, doing === 'written' ? 'its folder is not there' : undefined);
    if (fault === undefined) throw error;
    throw refused(path, `cannot be ${doing}: ${fault}`, {}, error);
  }
}
