// How the command line's process ends: with the exit code of its command, and with nothing else's. A module that leaves
// something open does not keep it; one that ends it (`process.exit(0)`), or awaits without end, makes no success of it.

import { setTimeout } from '../base/clock.ts';
import { divertOthers, flushed, printError } from '../terminal/print.ts';
import { runProgram } from './program.ts';
import { importedModules } from './user-code.ts';

/**
 * A process with nothing open ends by itself before this; one in which a module has left something open is ended. Not at once, nor
 * always: `process.exit` waits for threads of V8, and while these compile they may wait for the main thread (Node 24).
 */
const leftOpenMs = 500;

/** Run one command line, and end the process. */
export async function runProcess(argv: readonly string[]): Promise<void> {
  divertOthers();
  let isDone = false;
  process.once('exit', (exitCode) => {
    if (isDone) return;
    printError(`trunkline: ${earlyEnd(importedModules())}`);
    process.exitCode = exitCode === 0 ? 1 : exitCode;
  });
  const exitCode = await runProgram(argv);
  await flushed();
  isDone = true;
  process.exitCode = exitCode;
  setTimeout(() => process.exit(exitCode), leftOpenMs).unref();
}

function earlyEnd(modules: readonly string[]): string {
  const ended = 'the process has ended before the command';
  if (modules.length === 0) return ended;
  const what = 'ends the process, or awaits what does not come';
  return `${ended}: ${modules.join(' or ')} ${what}; a module that is named here defines aggregates, and does nothing else when it is loaded`;
}
