// `trunkline partitions`: the months of the store, their archives, and their end.
import type { Command } from 'commander';
import { archiveMonth, dropMonth } from '../store/postgres/month-archive.ts';
import { checkMonth, keepPartitions, listPartitions } from '../store/postgres/months.ts';
import { type ConnectionOptions, connected, withConnection } from './connection.ts';
import { bytes, table } from './table.ts';

const print = (text: string): void => void process.stdout.write(text);
const monthsAhead = 3;

export function addPartitions(program: Command): void {
  const group = program.command('partitions').description('months of events: list, make, archive, drop');

  withConnection(group.command('list'))
    .description('all partitions, with what they hold')
    .action((options: ConnectionOptions) =>
      connected(options, async (client) => {
        const rows = await listPartitions(client, options.schema);
        print(
          table(
            ['partition', 'month', 'events', 'size', 'in outbox'],
            rows.map(({ name, month, rows: events, bytes: size, inOutbox }) => [
              name,
              month ?? 'any',
              events,
              bytes(size),
              inOutbox,
            ]),
          ),
        );
      }),
    );

  withConnection(group.command('make'))
    .description('make those of the next months, and of the months that the default partition holds')
    .action((options: ConnectionOptions) =>
      connected(options, async (client) => {
        const made = await keepPartitions(client, options.schema, monthsAhead);
        print(made.length === 0 ? 'nothing to make\n' : `${made.map((name) => `made ${name}`).join('\n')}\n`);
      }),
    );

  withConnection(group.command('archive'))
    .description('write each month before one into a compressed file')
    .requiredOption('--before <month>', 'the first month to be left out, like 2026-01')
    .requiredOption('--to <folder>', 'where the files go; made if absent')
    .action((options: ConnectionOptions & { before: string; to: string }) =>
      connected(options, async (client) => {
        for (const month of await monthsBefore(client, options)) {
          const { events, file } = await archiveMonth(client, options.schema, month, options.to);
          print(`${month}: ${events} events in ${file}\n`);
        }
      }),
    );

  withConnection(group.command('drop'))
    .description('remove each month before one, if its archive is whole and has all of it')
    .requiredOption('--before <month>', 'the first month to be left in, like 2026-01')
    .option('--archive <folder>', 'where the archives are')
    .option('--force', 'also what is not archived, or not in any log yet', false)
    .action((options: ConnectionOptions & { before: string; archive?: string; force: boolean }) =>
      connected(options, async (client) => {
        for (const month of await monthsBefore(client, options)) {
          await dropMonth(client, options.schema, month, options.archive, options.force);
          print(`${month}: dropped\n`);
        }
      }),
    );
}

type Client = Parameters<typeof listPartitions>[0];

async function monthsBefore(
  client: Client,
  { schema, before }: ConnectionOptions & { before: string },
): Promise<string[]> {
  checkMonth('--before', before);
  const partitions = await listPartitions(client, schema);
  const months = partitions.flatMap(({ month }) => (month !== undefined && month < before ? [month] : []));
  if (months.length === 0) print(`no month before ${before}\n`);
  return months;
}
