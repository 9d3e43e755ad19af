// `trunkline dead-letters list | show | requeue | edit | discard`. Looking is done here; changes are the owner's of the data
// directory to make, or, when no service runs, this process's.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { TrunklineError } from '../errors.ts';
import type { DeadLetter, DeadLetterOutcome, DeadLetterQuery } from '../handlers/dead-letters.ts';
import { changeDeadLetters, type Place, readDeadLetters } from '../handlers/outside.ts';
import { inspectLog } from '../log/inspect.ts';
import { postgres } from '../store/postgres/postgres.ts';
import { type ConnectionOptions, connectionOf, withConnection } from './connection.ts';
import { addMessageLetters, countMessageLetters } from './message-letters.ts';

interface Selection extends ConnectionOptions {
  dataDir: string;
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
      const letters = await read(options, (deadLetters) => deadLetters.list(queryOf(options)));
      for (const letter of letters) print(line(letter));
      print(`${letters.length} dead letter${letters.length === 1 ? '' : 's'}`);
      const messages = await countMessageLetters(placeOf(options));
      if (messages !== '') print(messages);
    },
  );
  withDataDir(group.command('show <id>').description('one, whole, as JSON')).action(
    async (id: string, options: Selection) => print(json(await read(options, (deadLetters) => deadLetters.show(id)))),
  );
  addMessageLetters(group, placeOf);
  change(group, 'requeue', 'handle them again, each aggregate in order', 'call the handler, move nothing');
  change(group, 'discard', 'give them up; what waits behind them is handled', 'only say which');
  withDataDir(group.command('edit <id>').description('replace the data that the handler will get'))
    .requiredOption('--data <file>', "JSON file; '-': standard input")
    .action(async (id: string, options: Selection & { data: string }) => {
      const data = parse(readFileSync(options.data === '-' ? 0 : options.data, 'utf8'));
      await changeDeadLetters(placeOf(options), { kind: 'edit', id, data });
      print(`${id} edited`);
    });
}

function change(group: Command, kind: 'requeue' | 'discard', description: string, dryRun: string): void {
  selection(group.command(`${kind} [letter]`).description(`${description}: one by its id, or all that are selected`))
    .option('--dry-run', dryRun)
    .action(async (letter: string | undefined, options: Selection) => {
      const query = queryOf(options);
      if (letter === undefined && Object.keys(query).length === 0) {
        const reason = 'name one, or select some: --handler, --aggregate, --id, --type, --reason, --older-than';
        throw new TrunklineError('InvalidOptions', { option: kind, value: undefined, reason });
      }
      const request = { kind, which: letter ?? query, dryRun: options.dryRun ?? false };
      const outcomes = await changeDeadLetters(placeOf(options), request);
      for (const { id, outcome, error } of outcomes as DeadLetterOutcome[]) {
        print(`${id}  ${outcome}${error ? `  ${error.name}: ${error.message}` : ''}`);
      }
    });
}

const withDataDir = (command: Command): Command =>
  withConnection(
    command.requiredOption('--data-dir <folder>', "the service's data directory", process.env.TRUNKLINE_DATA_DIR),
  );

const selection = (command: Command): Command =>
  withDataDir(command)
    .option('--handler <name>', 'of this handler')
    .option('--aggregate <type>', 'of this aggregate type')
    .option('--id <id>', 'of this aggregate')
    .option('--type <type>', 'of this event type')
    .option('--reason <reason>', "'failed', or 'behind' one that failed")
    .option('--older-than <seconds>', 'parked so long ago or longer', number)
    .option('--limit <count>', 'at most so many', number);

function queryOf({ handler, aggregate, id, type, reason, olderThan, limit }: Selection): DeadLetterQuery {
  const query: DeadLetterQuery = {
    ...(handler !== undefined && { handler }),
    ...(aggregate !== undefined && { aggregate }),
    ...(id !== undefined && { aggregateId: id }),
    ...(type !== undefined && { type }),
    ...(reason !== undefined && { reason }),
    ...(olderThan !== undefined && { olderThanMs: olderThan * 1000 }),
    ...(limit !== undefined && { limit }),
  };
  return query;
}

/** @throws InvalidOptions, DataDirUnreadable */
function placeOf({ dataDir, ...connection }: Selection): Place {
  const place = { dataDir, handlersFolder: join(resolve(dataDir), 'handlers'), postgres: undefined };
  if (connection.postgres === undefined) return place;
  const logId = inspectLog(join(resolve(dataDir), 'log'))?.logId;
  if (logId === undefined) throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
  const { settings } = postgres({ connectionString: connectionOf(connection), schema: connection.schema });
  return { ...place, postgres: { settings, logId } };
}

const read = <T>(options: Selection, action: Parameters<typeof readDeadLetters<T>>[1]): Promise<T> =>
  readDeadLetters(placeOf(options), action);

function line({ id, reason, event, attempts, error, parkedAt }: DeadLetter): string {
  const place = `${event.aggregateType}/${event.aggregateId}@${event.version}`;
  const why = error ? `${error.name}: ${error.message.split('\n')[0]}` : '';
  return [id, place, event.type, reason, `${attempts} attempts`, parkedAt.toISOString(), why].join('  ').trimEnd();
}

const json = (value: unknown): string => JSON.stringify(value, null, 2);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

function number(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a number.');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = `is no JSON: ${(error as Error).message}`;
    throw new TrunklineError('InvalidOptions', { option: '--data', value: text.slice(0, 100), reason });
  }
}
