// The program of the command line: one file a group of commands, put together here.

import { Command, CommanderError } from 'commander';
import { storeCommands } from '../adapters/commands.ts';
import { readFileSync } from '../base/disk.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { checkedJson, object, text } from '../base/json.ts';
import { pathFault } from '../base/path-fault.ts';
import { Found } from '../terminal/output.ts';
import { parserError, print, printError } from '../terminal/print.ts';
import { refuseEmptyWords } from '../terminal/words.ts';
import { addCatalogue } from './catalogue.ts';
import { addDeadLetters } from './dead-letters.ts';
import { addHandlers } from './handlers.ts';
import { addRehearse } from './rehearse.ts';
import { addReplay } from './replay.ts';
import { addSchemas } from './schemas.ts';
import { addStatus } from './status.ts';
import { addTopics } from './topics.ts';

const manifest = checkedJson(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  object<{ version: string }>({ version: text }),
  'package.json',
);

export function makeProgram(): Command {
  // Commands take these settings over from their program when they are made.
  const program: Command = new Command('trunkline')
    .description('Inspect and maintain the logs and stores of Trunkline.')
    .version(manifest.version)
    .configureOutput({ writeOut: print, outputError: (text, write) => write(parserError(text)) })
    .showHelpAfterError('(trunkline --help shows what there is)')
    .exitOverride();
  const groups = [addStatus, addTopics, addHandlers, addDeadLetters, addReplay, addRehearse, addSchemas, addCatalogue];
  for (const add of [...storeCommands.map((store) => store.add), ...groups]) add(program);
  refuseEmptyWords(program);
  return program;
}

/** Run one command line; what went wrong is said on stderr. Returns the exit code. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  try {
    await makeProgram().parseAsync(argv);
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError || error instanceof Found)) tell(error); // these have said what there is to say
    return exitCodeOf(error);
  }
}

function tell(error: unknown): void {
  printError(`trunkline: ${messageOf(error)}`);
  if (process.env.TRUNKLINE_DEBUG && error instanceof Error) printError(...String(error.stack).split('\n'));
}

/** A path that no error of ours names: by what the file system says of it. */
function messageOf(error: unknown): string {
  const fault = error instanceof TrunklineError ? undefined : pathFault(error);
  const { path } = (error ?? {}) as NodeJS.ErrnoException;
  if (fault !== undefined && path !== undefined) return `${path} cannot be used: ${fault}`;
  return error instanceof Error ? error.message : String(error);
}

/** 2: words that are not understood; 1: everything else that goes wrong; 128 and its number: a signal has ended it early. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof Found) return error.exitCode;
  return isError(error, 'InvalidOptions') && error.details.option.startsWith('--') ? 2 : 1;
}
