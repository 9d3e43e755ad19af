// `trunkline replay --handler … --since …`: the running service replays events into one of its handlers; progress is shown
// here, as a bar on a terminal, as plain lines elsewhere.
import { type Command, Option } from 'commander';
import { askOwner } from '../runtime/offline-handlers.ts';
import type { ReplayProgress } from '../subscriptions/replay.ts';
import { type OutputOptions, output, withJson } from '../terminal/output.ts';
import { endProgress, printProgress } from '../terminal/print.ts';
import { dataDirOption, positiveInteger, time } from '../terminal/words.ts';
import { placeOf } from './place.ts';

interface Options extends OutputOptions {
  dataDir: string;
  handler: string;
  since?: string;
  until?: string;
  from?: number;
  to?: number;
  type?: string[];
  aggregate?: string;
  id?: string;
  rate?: number;
  dryRun?: boolean;
}

const barWidth = 30;

/** Add the command to a program. */
export function addReplay(program: Command): void {
  withJson(program.command('replay'))
    .description('hand events of the past to a handler once more; moves no checkpoint')
    .addOption(dataDirOption("the running service's data directory").makeOptionMandatory())
    .requiredOption('--handler <name>', 'into this handler')
    .option('--since <time>', 'events that occurred then or later (ISO 8601)', time)
    .option('--until <time>', 'events that occurred before then (ISO 8601)', time)
    .addOption(
      new Option('--from <position>', 'from this log position on').argParser(positiveInteger).conflicts('since'),
    )
    .addOption(new Option('--to <position>', 'up to this log position').argParser(positiveInteger).conflicts('until'))
    .option('--type <type...>', 'of these event types')
    .option('--aggregate <type>', 'of this aggregate type')
    .option('--id <id>', 'of this aggregate')
    .option('--rate <events>', 'at most so many events a second', positiveInteger)
    .option('--dry-run', 'only count them')
    .action(async (options: Options, command: Command) => {
      const { handler, since, until, type, aggregate, id, rate, dryRun = false } = options;
      const from = options.from ?? since;
      const to = options.to ?? until;
      if (id !== undefined && aggregate === undefined) command.error('error: --id needs --aggregate');
      if (typeof from === typeof to && from! > to!) command.error('error: it would end before it begins');
      const request = {
        kind: 'replay' as const,
        handler,
        dryRun,
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to }),
        ...(type !== undefined && { types: type }),
        ...(aggregate !== undefined && { aggregate }),
        ...(id !== undefined && { aggregateId: id }),
        ...(rate !== undefined && { eventsPerSecond: rate }),
      };
      const show = (progress: ReplayProgress): void =>
        printProgress(process.stderr.isTTY ? bar(progress) : plain(progress));
      const place = await placeOf({ dataDir: options.dataDir });
      const result = (await askOwner(place, request, show)) as ReplayProgress;
      endProgress();
      const { events, failed, seconds } = result;
      const what = dryRun ? 'would be replayed' : 'replayed';
      output(options, result, () => [
        `${events} events ${what} into ${handler} in ${seconds.toFixed(1)} s, ${failed} failed`,
      ]);
    });
}

/** How much of the stretch is done, 0 to 1. */
function shareOf({ position, fromPosition, toPosition }: ReplayProgress): number {
  return Math.min(1, Math.max(0, (position - fromPosition + 1) / Math.max(1, toPosition - fromPosition + 1)));
}

function bar(progress: ReplayProgress): string {
  const filled = Math.round(shareOf(progress) * barWidth);
  return `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${plain(progress)}`;
}

function plain(progress: ReplayProgress): string {
  const { events, failed, eventsPerSecond, remainingSeconds } = progress;
  const percent = `${Math.floor(shareOf(progress) * 100)} %`;
  const rest = remainingSeconds === undefined ? '' : `, ${Math.ceil(remainingSeconds)} s to go`;
  return `${percent}  ${events} events, ${failed} failed, ${Math.round(eventsPerSecond)} events/s${rest}`;
}
