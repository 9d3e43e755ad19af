// `trunkline dead-letters list | show | requeue | edit | discard`. Looking is done here; changes are the owner's of the data
// directory to make, or, when no service runs, this process's.

import { type Command, Option } from 'commander';
import { createReadStream } from '../base/disk.ts';
import { TrunklineError } from '../base/errors.ts';
import { collectText, parseJson } from '../base/foreign-file.ts';
import { pathFault } from '../base/path-fault.ts';
import { shown } from '../base/shown.ts';
import { tame } from '../base/tame.ts';
import type { DeadLetter, DeadLetterOutcome } from '../dead-letters/dead-letters.ts';
import type { DeadLetterSelection } from '../dead-letters/letter-query.ts';
import { changeDeadLetters, REQUEST_BYTES_LIMIT, readDeadLetters } from '../runtime/offline-handlers.ts';
import { type OutputOptions, output, withJson } from '../terminal/output.ts';
import { positiveInteger, seconds } from '../terminal/words.ts';
import { addMessageLetters, countMessageLetters } from './message-letters.ts';
import { type PlaceOptions, placeOf, withPlace } from './place.ts';

interface Selection extends PlaceOptions, OutputOptions {
  all?: boolean;
  handler?: string;
  aggregate?: string;
  id?: string;
  type?: string;
  reason?: 'failed' | 'behind';
  olderThan?: number;
  limit?: number;
  dryRun?: boolean;
}

/** Add the commands to a program. */
export function addDeadLetters(program: Command): void {
  const group = program.command('dead-letters').description('what handlers could not handle, and what waits behind it');
  selection(group.command('list').description('one line each, in the order in which they would be handled')).action(
    async (options: Selection) => {
      const query = queryOf(options);
      const letters = await read(options, async (deadLetters) => {
        await deadLetters.checkHandler(query.handler);
        return deadLetters.list(query);
      });
      const messages = options.json ? '' : await countMessageLetters(await placeOf(options));
      output(options, letters, () => [
        ...letters.map(line),
        `${letters.length} dead letter${letters.length === 1 ? '' : 's'}`,
        ...(messages === '' ? [] : [messages]),
      ]);
    },
  );
  one(group.command('show <id>').description('one, whole, as JSON')).action(async (id: string, options: Selection) => {
    const letter = await read(options, (deadLetters) => deadLetters.show(id));
    output({ ...options, json: true }, letter, () => []);
  });
  addMessageLetters(group);
  change(group, 'requeue', 'handle them again, each aggregate in order', 'call the handler, move nothing');
  change(group, 'discard', 'give them up; what waits behind them is handled', 'only say which');
  one(group.command('edit <id>').description('replace the data that the handler will get'))
    .requiredOption('--data <file>', "JSON file; '-': standard input")
    .option('--unchecked', "without the running service, which knows the event's schema")
    .action(async (id: string, options: Selection & { data: string; unchecked?: boolean }) => {
      const data = await dataIn(options.data);
      const { unchecked = false } = options;
      const edited = await changeDeadLetters(await placeOf(options), { kind: 'edit', id, data }, { unchecked });
      output(options, edited, () => [`${id} edited`]);
    });
}

function change(group: Command, kind: 'requeue' | 'discard', description: string, dryRun: string): void {
  selection(group.command(`${kind} [letter]`).description(`${description}: one by its id, or all that are selected`))
    .option('--all', 'all of them, whatever handler they are of')
    .option('--dry-run', dryRun)
    .action(async (letter: string | undefined, options: Selection, command: Command) => {
      const { all, ...query } = queryOf(options);
      const { limit, ...selectors } = query;
      const hasSelectors = Object.keys(selectors).length > 0;
      if ([letter !== undefined, hasSelectors, all === true].filter(Boolean).length !== 1) {
        const given = letter !== undefined || hasSelectors || all === true;
        command.error(
          given
            ? `error: name one letter, or select some, or say --all: not several of these`
            : `error: name one, or select some: --handler, --aggregate, --id, --type, --reason, --older-than; or say --all`,
        );
      }
      const which = letter ?? (all ? { all, ...(limit !== undefined && { limit }) } : query);
      const outcomes = (await changeDeadLetters(await placeOf(options), {
        kind,
        which,
        dryRun: options.dryRun ?? false,
      })) as DeadLetterOutcome[];
      output(options, outcomes, () =>
        outcomes.length === 0
          ? ['no dead letter is selected']
          : outcomes.map(
              ({ id, outcome, error }) => `${id}  ${outcome}${error ? `  ${error.name}: ${error.message}` : ''}`,
            ),
      );
    });
}

const one = (command: Command): Command => withJson(withPlace(command));

const selection = (command: Command): Command =>
  one(command)
    .option('--handler <name>', 'of this handler')
    .option('--aggregate <type>', 'of this aggregate type')
    .option('--id <id>', 'of this aggregate')
    .option('--type <type>', 'of this event type')
    .addOption(new Option('--reason <reason>', "'failed', or 'behind' one that failed").choices(['failed', 'behind']))
    .option('--older-than <seconds>', 'parked so long ago or longer', seconds)
    .option('--limit <count>', 'at most so many; 1,000 unless said', positiveInteger);

function queryOf({ all, handler, aggregate, id, type, reason, olderThan, limit }: Selection): DeadLetterSelection {
  return {
    ...(all && { all }),
    ...(handler !== undefined && { handler }),
    ...(aggregate !== undefined && { aggregate }),
    ...(id !== undefined && { aggregateId: id }),
    ...(type !== undefined && { type }),
    ...(reason !== undefined && { reason }),
    ...(olderThan !== undefined && { olderThanMs: olderThan * 1000 }),
    ...(limit !== undefined && { limit }),
  };
}

async function read<T>(options: Selection, action: Parameters<typeof readDeadLetters<T>>[1]): Promise<T> {
  return readDeadLetters(await placeOf(options), action);
}

function line({ id, reason, event, attempts, error, parkedAt }: DeadLetter): string {
  const place = `${event.aggregateType}/${event.aggregateId}@${event.version}`;
  const why = error ? `${error.name}: ${error.message.split('\n')[0]}` : '';
  return [id, place, event.type, reason, `${attempts} attempts`, parkedAt.toISOString(), why].join('  ').trimEnd();
}

/** A pipe is a file, too: `--data <(jq …)`. */
async function dataIn(file: string): Promise<unknown> {
  const refuse = (reason: string, text?: string): never => {
    throw new TrunklineError('InvalidOptions', { option: '--data', value: shown(text), reason });
  };
  const source = file === '-' ? process.stdin : createReadStream(file);
  const text = await collectText(source, file, REQUEST_BYTES_LIMIT).catch((error: Error) => {
    if (error instanceof TrunklineError) throw error;
    return refuse(`'${tame(file, 200)}' cannot be read: ${pathFault(error) ?? error.message}`);
  });
  const data = parseJson(text);
  return data === undefined ? refuse('is no JSON, or nested too deep', text) : data;
}
