// Faults that the kernel itself makes, by strace: a system call fails, is delayed, or kills the process, at its n-th call on
// a given file. It needs nothing in the product.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

export interface Injection {
  /** System calls, separated by commas. */
  calls: string;
  /** What happens, in strace's words: `signal=SIGKILL`, `error=EIO`, `retval=0` … */
  fault: string;
  /** At which call: `7`, `7+` (and all after it), `7..9`; each thread counts for itself. */
  when: string;
  /** Only calls that concern these files. */
  files?: readonly string[];
  /** Where to write what was called, see {@link injected}. */
  trace?: string;
}

export const hasStrace: boolean = spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0;
export const withoutStrace = (): string | undefined => (hasStrace ? undefined : 'needs strace: apt-get install strace');

/** The words to put before a command. */
export function straceWords({ calls, fault, when, files = [], trace = '/dev/null' }: Injection): string[] {
  const paths = files.flatMap((file) => ['-P', file]);
  const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:${fault}:when=${when}`];
  // Then only those calls stop the process, and not all of them. Not for signals: together with -P, strace 6.1 then sends none.
  const filter = fault.startsWith('signal=') ? [] : ['--seccomp-bpf'];
  return ['strace', '-f', ...filter, '-qqq', '-o', trace, ...paths, ...inject];
}

/** The calls that were made to fail, as strace wrote them down. */
export function injected(trace: string): string[] {
  if (!existsSync(trace)) return [];
  return readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes('(INJECTED)'));
}
