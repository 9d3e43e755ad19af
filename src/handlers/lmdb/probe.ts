// Before the handlers' environment is opened: unless it is known to be as it was when it was closed in order, a process of
// its own looks at it first. LMDB trusts what it finds, and a damaged file can take the whole process with it.
//
// The marker stands while nobody writes, and says which file ended in order: removed before the environment is opened for
// writing, made when it is closed.
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { syncFolder } from '../../durable-file.ts';
import { TrunklineError } from '../../errors.ts';
import { dataFileOf } from './environment.ts';

// `.ts` in development, `.js` when published.
const examination = new URL(`./examination${import.meta.filename.slice(-3)}`, import.meta.url);
const boundMs = 60_000; // a damaged tree may lead in circles

const markerOf = (folder: string): string => join(folder, 'clean');

/** @throws StoreDamaged */
export async function openingIsSafe(folder: string): Promise<void> {
  const file = describe(folder);
  if (file === undefined || isMarked(folder, file)) return;
  const { failure, output } = await new Promise<{ failure: ExecFailure | null; output: string }>((resolve) => {
    const settings = { timeout: boundMs, killSignal: 'SIGKILL' as const };
    execFile(process.execPath, [fileURLToPath(examination), folder], settings, (error, text) =>
      resolve({ failure: error, output: text }),
    );
  });
  if (failure === null) return;
  const how = failure.signal ? `signal ${failure.signal}` : `exit code ${failure.code}`;
  const found = output === '' ? `examining it ended with ${how}` : output;
  const reason = `handlers/handlers.mdb cannot be read (${found}); put a copy of the whole data directory back, or move the handlers folder aside: then subscriptions begin anew`;
  throw new TrunklineError('StoreDamaged', { dataDir: dirname(folder), reason });
}

export function markInUse(folder: string): void {
  rmSync(markerOf(folder), { force: true });
}

export function markClean(folder: string): void {
  const file = describe(folder);
  if (file === undefined) return;
  writeFileSync(markerOf(folder), file, { mode: 0o600 });
  syncFolder(folder);
}

function isMarked(folder: string, file: string): boolean {
  try {
    return readFileSync(markerOf(folder), 'utf8') === file;
  } catch {
    return false;
  }
}

function describe(folder: string): string | undefined {
  const stats = statSync(dataFileOf(folder), { throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}

type ExecFailure = Error & { code?: unknown; signal?: unknown };
