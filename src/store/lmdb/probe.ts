// A store that did not end in order, or is not the file that did, is examined in a process of its own before it is opened
// here: LMDB trusts what it finds, and a damaged file can take the whole process with it.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { fromWire, type WireError } from '../../errors.ts';
import { damaged } from './environment.ts';

// `.ts` in development, `.js` when published.
const examination = new URL(`./examination${import.meta.filename.slice(-3)}`, import.meta.url);
const boundMs = 60_000; // a damaged tree may lead in circles

/** Resolves if the store can be opened. Throws `StoreDamaged`, or what else the examination found. */
export async function probe(folder: string): Promise<void> {
  const { failure, output } = await new Promise<{ failure: ExecFailure | null; output: string }>((resolve) => {
    const settings = { timeout: boundMs, killSignal: 'SIGKILL' as const };
    execFile(process.execPath, [fileURLToPath(examination), folder], settings, (failure, output) =>
      resolve({ failure, output }),
    );
  });
  if (failure === null) return;
  if (output !== '') throw fromWire(JSON.parse(output) as WireError);
  const how = failure.signal ? `signal ${failure.signal}` : `exit code ${failure.code}`;
  throw damaged(folder, `it cannot be read: examining it ended with ${how}`, failure);
}

type ExecFailure = Error & { code?: unknown; signal?: unknown };
