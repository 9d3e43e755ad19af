#!/usr/bin/env node
// The command line. What a user can cause ends in one line on stderr and exit code 1 (2 for words that are not understood),
// never in a stack trace.
import { printError } from '../terminal/print.ts';

try {
  await import('../base/node-version.ts');
  const { runProgram } = await import('./program.ts');
  process.exitCode = await runProgram(process.argv);
} catch (error) {
  printError(`trunkline: ${(error as Error).message}`);
  process.exitCode = 1;
}
