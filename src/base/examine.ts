// A look at an LMDB environment in a process of its own, before it is opened in this one: LMDB trusts what it finds, and a
// damaged file can take the whole process with it.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const boundMs = 60_000; // a damaged tree may lead in circles

export interface Failed {
  /** What the program said of it; `''` if it could not say anything more. */
  readonly said: string;
  /** How it ended: its signal or exit code. */
  readonly how: string;
  readonly cause: Error;
}

/** Run a program on a folder. Resolves with what went wrong, or undefined. */
export function examine(program: URL, folder: string): Promise<Failed | undefined> {
  const settings = { timeout: boundMs, killSignal: 'SIGKILL' as const };
  return new Promise((resolve) => {
    execFile(process.execPath, [fileURLToPath(program), folder], settings, (cause, said) => {
      if (cause === null) return resolve(undefined);
      resolve({ said, how: cause.signal ? `signal ${cause.signal}` : `exit code ${cause.code}`, cause });
    });
  });
}
