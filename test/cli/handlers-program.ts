// The commands about handlers as a program of their own.
import { Command } from 'commander';
import { addDeadLetters } from '../../src/cli/dead-letters.ts';
import { addReplay } from '../../src/cli/replay.ts';

const program = new Command('trunkline');
addDeadLetters(program);
addReplay(program);
try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`trunkline: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
