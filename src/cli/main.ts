#!/usr/bin/env node
// The command line. What a user can cause ends in one line on stderr and exit code 1 (2 for words that are not understood),
// never in a stack trace.
import { printError } from '../terminal/print.ts';

// No `await` of the module: where it never settled, Node would say so of this file, and not of the one that the user named.
run().catch(() => {}); // it catches what there is itself

async function run(): Promise<void> {
  try {
    await import('../base/node-version.ts');
    const { runProcess } = await import('./process.ts');
    await runProcess(process.argv);
  } catch (error) {
    printError(`trunkline: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
