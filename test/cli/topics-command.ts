// The command by itself, as main.ts puts it together with the others.
import { Command } from 'commander';
import { addTopics } from '../../src/cli/topics.ts';

const program = new Command('trunkline');
addTopics(program);
await program.parseAsync();
