#!/usr/bin/env node
// The command line: one file a group of commands, put together here. What a user can cause ends in one line on stderr and
// exit code 1 (2 for words that are not understood), never in a stack trace.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { TrunklineError } from '../errors.ts';
import { addDeadLetters } from './dead-letters.ts';
import { addMigrate } from './migrate.ts';
import { addOutbox } from './outbox.ts';
import { addPartitions } from './partitions.ts';
import { addReplay } from './replay.ts';
import { addStatus } from './status.ts';
import { addTopics } from './topics.ts';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program: Command = new Command('trunkline')
  .description('Look after the logs and stores of Trunkline.')
  .version(manifest.version)
  .showHelpAfterError('(trunkline --help shows what there is)')
  .exitOverride();

for (const add of [addMigrate, addStatus, addOutbox, addPartitions, addTopics, addDeadLetters, addReplay]) add(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = codeFor(error);
}

function codeFor(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // it has said what there is to say
  const text = error instanceof TrunklineError ? error.message : error instanceof Error ? error.message : String(error);
  process.stderr.write(`trunkline: ${text}\n`);
  if (process.env.TRUNKLINE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return 1;
}
