// `trunkline dead-letters messages list | show | requeue | discard`: messages between aggregates that could not be delivered.
// Looking is done here; changes are the owner's of the data directory to make, or, when no service runs, this process's.
import { type Command, Option } from 'commander';
import type { MessageLetter, MessageLetterOutcome, MessageLetterQuery } from '../dead-letters/message-letters.ts';
import { changeDeadLetters, type Place, readMessageLetters } from '../runtime/offline-handlers.ts';
import { type OutputOptions, output, withJson } from '../terminal/output.ts';
import { dataDirOption, positiveInteger, seconds } from '../terminal/words.ts';
import { placeOf } from './place.ts';

/** What the options of these commands say. */
interface MessageSelection extends OutputOptions {
  dataDir: string;
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

export function addMessageLetters(deadLetters: Command): void {
  const group = deadLetters.command('messages').description('messages between aggregates that could not be delivered');
  selection(group.command('list').description('one line each, in the order in which they would be delivered')).action(
    async (options: MessageSelection) => {
      const letters = await readMessageLetters(await here(options), (messages) => messages.list(queryOf(options)));
      output(options, letters, () => [...letters.map(line), counted(letters.length)]);
    },
  );
  withDataDir(group.command('show <id>').description('one, whole, as JSON')).action(
    async (id: string, options: MessageSelection) => {
      const letter = await readMessageLetters(await here(options), (messages) => messages.show(id));
      output({ json: true }, letter, () => []);
    },
  );
  change(group, 'requeue', 'deliver them again, those of one sender to one target in order');
  change(group, 'discard', 'give them up; what waits behind them is delivered');
}

/** '' if there are none. */
export async function countMessageLetters(place: Place): Promise<string> {
  const { length } = await readMessageLetters(place, (messages) => messages.list({ limit: countLimit }));
  return length === 0 ? '' : `${counted(length)}, see: trunkline dead-letters messages list`;
}

function change(group: Command, action: 'requeue' | 'discard', description: string): void {
  selection(
    group.command(`${action} [message]`).description(`${description}: one by its id, or all that are selected`),
  ).action(async (message: string | undefined, options: MessageSelection, parsed: Command) => {
    const query = queryOf(options);
    const { limit: _, ...conditions } = query;
    const hasConditions = Object.keys(conditions).length > 0;
    if ((message !== undefined) === hasConditions) {
      parsed.error(
        hasConditions
          ? 'error: name one message, or select some: not both'
          : 'error: name one, or select some: --aggregate, --id, --sender, --sender-id, --command, --reason, --older-than',
      );
    }
    const request = { kind: 'messages', action, which: message ?? query } as const;
    const outcomes = (await changeDeadLetters(await here(options), request)) as MessageLetterOutcome[];
    output(options, outcomes, () =>
      outcomes.length === 0 ? ['no message is selected'] : outcomes.map(({ id, outcome }) => `${id}  ${outcome}`),
    );
  });
}

const withDataDir = (command: Command): Command =>
  withJson(command.addOption(dataDirOption("the service's data directory").makeOptionMandatory()));

/** They are on this machine, wherever the events are. */
const here = ({ dataDir }: MessageSelection): Promise<Place> => placeOf({ dataDir });

const selection = (command: Command): Command =>
  withDataDir(command)
    .option('--aggregate <type>', 'to this aggregate type')
    .option('--id <id>', 'to this aggregate')
    .option('--sender <type>', 'from this aggregate type')
    .option('--sender-id <id>', 'from this aggregate')
    .option('--command <name>', 'of this command')
    .addOption(new Option('--reason <reason>', "'failed', or 'behind' one that failed").choices(['failed', 'behind']))
    .option('--older-than <seconds>', 'parked so long ago or longer', seconds)
    .option('--limit <count>', 'at most so many; 1,000 unless said', positiveInteger);

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
