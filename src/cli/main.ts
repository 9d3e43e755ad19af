#!/usr/bin/env node
// The command line. What a user can cause ends in one line on stderr and exit code 1 (2 for words that are not understood),
// never in a stack trace.
import { runProgram } from './program.ts';

process.exitCode = await runProgram(process.argv);
