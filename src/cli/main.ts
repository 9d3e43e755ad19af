#!/usr/bin/env node
// The command line. What a user can cause ends in one line on stderr and exit code 1 (2 for words that are not understood),
// never in a stack trace.
import { CommanderError } from 'commander';
import { exitCodeOf, makeProgram } from './program.ts';

try {
  await makeProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
  if (!(error instanceof CommanderError)) tell(error); // that one has said what there is to say
}

function tell(error: unknown): void {
  process.stderr.write(`trunkline: ${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env.TRUNKLINE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}
