// `trunkline partitions`: the months of the store, their archives, and their end.
import { type Command, InvalidArgumentError } from 'commander';
import { type OutputOptions, output, withJson } from '../../../terminal/output.ts';
import { printError } from '../../../terminal/print.ts';
import { bytes, table } from '../../../terminal/table.ts';
import { positiveInteger } from '../../../terminal/words.ts';
import type { ArchiveLimits } from '../partitions/archive-file.ts';
import { archiveMonth, dropMonth } from '../partitions/month-archive.ts';
import { keepPartitions } from '../schema/months.ts';
import { listPartitions } from '../schema/partition-list.ts';
import { type ConnectionOptions, onStore, withConnection } from './connection.ts';

const monthsAhead = 3;

export function addPartitions(program: Command): void {
  const group = program.command('partitions').description('months of events: list, make, archive, drop');

  withJson(withConnection(group.command('list')))
    .description('all partitions, with what they hold')
    .action((options: ConnectionOptions & OutputOptions) =>
      onStore(options, async (client) => {
        const rows = await listPartitions(client, options.schema);
        output(options, rows, () =>
          table(
            ['partition', 'month', 'events', 'size', 'in outbox'],
            rows.map(({ name, month, range, rows: events, bytes: size, inOutbox }) => [
              name,
              month ?? range ?? 'any',
              events,
              bytes(size),
              inOutbox,
            ]),
          ),
        );
      }),
    );

  withJson(withConnection(group.command('make')))
    .description('make those of the next months, and of the months that the default partition holds')
    .action((options: ConnectionOptions & OutputOptions) =>
      onStore(options, async (client) => {
        const told = (name: string): void => {
          if (!options.json) output(options, undefined, () => [`made ${name}`]);
        };
        const made = await keepPartitions(client, options.schema, monthsAhead, told);
        if (options.json || made.length === 0) output(options, made, () => ['nothing to make']);
      }),
    );

  addArchive(group);
  addDrop(group);
}

function addArchive(group: Command): void {
  withLimits(withJson(withConnection(group.command('archive'))))
    .description('write each month before one into a compressed file')
    .requiredOption('--before <month>', 'the first month to be left out, like 2026-01', monthWord)
    .requiredOption('--to <folder>', 'where the files go; made if absent')
    .action((options: ConnectionOptions & OutputOptions & ArchiveLimits & { before: string; to: string }) =>
      onStore(options, async (client) => {
        const months = await monthsBefore(client, options);
        const warn = warnOnce();
        const done: { month: string; events: number; file: string }[] = [];
        for (const month of months) {
          const { events, file } = await archiveMonth(
            client,
            options.schema,
            month,
            options.to,
            undefined,
            limitsOf(options),
            warn,
          );
          done.push({ month, events, file });
          if (!options.json) output(options, undefined, () => [`${month}: ${events} events in ${file}`]);
        }
        finish(options, done);
      }),
    );
}

function addDrop(group: Command): void {
  withLimits(withJson(withConnection(group.command('drop'))))
    .description('remove each month before one, if its archive is whole and has all of it')
    .requiredOption('--before <month>', 'the first month to be left in, like 2026-01', monthWord)
    .option('--archive <folder>', 'where the archives are')
    .option('--force', 'also what is not archived, or not in any log yet', false)
    .action((options: DropOptions) =>
      onStore(options, async (client) => {
        const months = await monthsBefore(client, options);
        const warn = warnOnce();
        for (const month of months) {
          await dropMonth(client, options.schema, month, options.archive, options.force, limitsOf(options), warn);
          if (!options.json) output(options, undefined, () => [`${month}: dropped`]);
        }
        finish(
          options,
          months.map((month) => ({ month })),
        );
      }),
    );
}

type DropOptions = ConnectionOptions &
  OutputOptions &
  ArchiveLimits & { before: string; archive?: string; force: boolean };

const withLimits = (command: Command): Command =>
  command
    .option('--line-bytes <bytes>', 'most bytes of an event in an archive; 67,108,864 unless said', positiveInteger)
    .option('--ratio <times>', 'how far an archive may unpack; 1,000 times unless said', positiveInteger);

const limitsOf = ({ lineBytes, ratio }: ArchiveLimits): ArchiveLimits => ({ lineBytes, ratio });

function monthWord(text: string): string {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a month like 2026-01.');
}

/** Of a folder that holds many months once. */
function warnOnce(): (reason: string) => void {
  const said = new Set<string>();
  return (reason) => {
    if (!said.has(reason)) printError(`trunkline: warning: ${reason}`);
    said.add(reason);
  };
}

type Client = Parameters<typeof listPartitions>[0];

async function monthsBefore(
  client: Client,
  { schema, before }: ConnectionOptions & { before: string },
): Promise<string[]> {
  const partitions = await listPartitions(client, schema);
  return partitions.flatMap(({ month }) => (month !== undefined && month < before ? [month] : []));
}

/** Lines have been printed month by month, since each takes its time. */
function finish(options: OutputOptions & { before: string }, done: readonly object[]): void {
  if (options.json || done.length === 0) output(options, done, () => [`no month before ${options.before}`]);
}
