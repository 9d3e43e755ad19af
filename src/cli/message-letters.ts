// `trunkline dead-letters messages list | show | requeue | discard`: messages between aggregates that could not be delivered.
// Looking is done here; changes are the owner's of the data directory to make, or, when no service runs, this process's.
import { type Command, InvalidArgumentError } from 'commander';
import { TrunklineError } from '../errors.ts';
import type { MessageLetter, MessageLetterOutcome, MessageLetterQuery } from '../handlers/message-letters.ts';
import { changeDeadLetters, type Place, readMessageLetters } from '../handlers/outside.ts';

/** What the options of these commands say. */
export interface MessageSelection {
  dataDir: string;
  schema: string;
  aggregate?: string;
  id?: string;
  sender?: string;
  senderId?: string;
  command?: string;
  reason?: 'failed' | 'behind';
  olderThan?: number;
  limit?: number;
}

const countLimit = 1_000_000;

/** `placeOf`: what a data directory holds. */
export function addMessageLetters(deadLetters: Command, placeOf: (options: MessageSelection) => Place): void {
  const group = deadLetters.command('messages').description('messages between aggregates that could not be delivered');
  selection(group.command('list').description('one line each, in the order in which they would be delivered')).action(
    async (options: MessageSelection) => {
      const letters = await readMessageLetters(placeOf(options), (messages) => messages.list(queryOf(options)));
      for (const letter of letters) print(line(letter));
      print(counted(letters.length));
    },
  );
  withDataDir(group.command('show <id>').description('one, whole, as JSON')).action(
    async (id: string, options: MessageSelection) => {
      const letter = await readMessageLetters(placeOf(options), (messages) => messages.show(id));
      print(JSON.stringify(letter, null, 2));
    },
  );
  change(group, 'requeue', 'deliver them again, those of one sender to one target in order', placeOf);
  change(group, 'discard', 'give them up; what waits behind them is delivered', placeOf);
}

/** '' if there are none. */
export async function countMessageLetters(place: Place): Promise<string> {
  const { length } = await readMessageLetters(place, (messages) => messages.list({ limit: countLimit }));
  return length === 0 ? '' : `${counted(length)}, see: trunkline dead-letters messages list`;
}

function change(
  group: Command,
  action: 'requeue' | 'discard',
  description: string,
  placeOf: (options: MessageSelection) => Place,
): void {
  selection(
    group.command(`${action} [message]`).description(`${description}: one by its id, or all that are selected`),
  ).action(async (message: string | undefined, options: MessageSelection) => {
    const query = queryOf(options);
    if (message === undefined && Object.keys(query).length === 0) {
      const reason =
        'name one, or select some: --aggregate, --id, --sender, --sender-id, --command, --reason, --older-than';
      throw new TrunklineError('InvalidOptions', { option: action, value: undefined, reason });
    }
    const request = { kind: 'messages', action, which: message ?? query } as const;
    for (const { id, outcome } of (await changeDeadLetters(placeOf(options), request)) as MessageLetterOutcome[]) {
      print(`${id}  ${outcome}`);
    }
  });
}

const withDataDir = (command: Command): Command =>
  command.requiredOption('--data-dir <folder>', "the service's data directory", process.env.TRUNKLINE_DATA_DIR);

const selection = (command: Command): Command =>
  withDataDir(command)
    .option('--aggregate <type>', 'to this aggregate type', word)
    .option('--id <id>', 'to this aggregate', word)
    .option('--sender <type>', 'from this aggregate type', word)
    .option('--sender-id <id>', 'from this aggregate', word)
    .option('--command <name>', 'of this command', word)
    .option('--reason <reason>', "'failed', or 'behind' one that failed", word)
    .option('--older-than <seconds>', 'parked so long ago or longer', number)
    .option('--limit <count>', 'at most so many', number);

function queryOf(options: MessageSelection): MessageLetterQuery {
  const { aggregate, id, sender, senderId, command, reason, olderThan, limit } = options;
  return {
    ...(aggregate !== undefined && { aggregate }),
    ...(id !== undefined && { aggregateId: id }),
    ...(sender !== undefined && { sender }),
    ...(senderId !== undefined && { senderId }),
    ...(command !== undefined && { command }),
    ...(reason !== undefined && { reason }),
    ...(olderThan !== undefined && { olderThanMs: olderThan * 1000 }),
    ...(limit !== undefined && { limit }),
  };
}

function line({ id, sender, target, command, reason, attempts, error, parkedAt }: MessageLetter): string {
  const from = sender === undefined ? '?' : `${sender.aggregateType}/${sender.aggregateId}`;
  const to = `${target.aggregateType}/${target.aggregateId}.${command}`;
  const why = error ? `${error.name}: ${error.message.split('\n')[0]}` : '';
  const words = [id, `${from} → ${to}`, reason, `${attempts} attempts`, parkedAt.toISOString(), why];
  return words.join('  ').trimEnd();
}

const counted = (count: number): string => `${count} undelivered message${count === 1 ? '' : 's'}`;
const print = (text: string): void => void process.stdout.write(`${text}\n`);

function word(text: string): string {
  if (text.trim() !== '') return text;
  throw new InvalidArgumentError('It must not be empty.');
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a number.');
}
