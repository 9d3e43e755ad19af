// `trunkline replay --handler … --since …`: the running service replays events into one of its handlers; progress is shown
// here, as a bar on a terminal, as plain lines elsewhere.
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { ReplayProgress } from '../handlers/replay.ts';
import { ask } from '../handlers/requests.ts';

interface Options {
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

const answerTimeoutMs = 30_000;
const barWidth = 30;

/** Add the command to a program. */
export function addReplay(program: Command): void {
  program
    .command('replay')
    .description('hand events of the past to a handler once more; moves no checkpoint')
    .requiredOption('--data-dir <folder>', "the running service's data directory", process.env.TRUNKLINE_DATA_DIR)
    .requiredOption('--handler <name>', 'into this handler')
    .option('--since <time>', 'events that occurred then or later (ISO 8601)', time)
    .option('--until <time>', 'events that occurred before then (ISO 8601)', time)
    .option('--from <position>', 'from this log position on', number)
    .option('--to <position>', 'up to this log position', number)
    .option('--type <type...>', 'of these event types')
    .option('--aggregate <type>', 'of this aggregate type')
    .option('--id <id>', 'of this aggregate')
    .option('--rate <events>', 'at most so many events a second', number)
    .option('--dry-run', 'only count them')
    .action(async (options: Options) => {
      const { handler, since, until, type, aggregate, id, rate, dryRun = false } = options;
      const from = options.from ?? since;
      const to = options.to ?? until;
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
      const isTerminal = process.stderr.isTTY === true;
      const show = (progress: ReplayProgress): void => {
        process.stderr.write(isTerminal ? `\r\u001b[K${bar(progress)}` : `${plain(progress)}\n`);
      };
      const folder = join(resolve(options.dataDir), 'handlers');
      const result = (await ask(folder, request, { timeoutMs: answerTimeoutMs, onProgress: show })) as ReplayProgress;
      if (isTerminal) process.stderr.write('\n');
      const { events, failed, seconds } = result;
      const what = dryRun ? 'would be replayed' : 'replayed';
      process.stdout.write(`${events} events ${what} into ${handler} in ${seconds.toFixed(1)} s, ${failed} failed\n`);
    });
}

/** How much of the stretch is done, 0 to 1. */
export function shareOf({ position, fromPosition, toPosition }: ReplayProgress): number {
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

function time(text: string): string {
  if (!Number.isNaN(Date.parse(text))) return new Date(text).toISOString();
  throw new InvalidArgumentError('It must be a time, as 2026-11-01T12:00:00Z.');
}

function number(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('It must be a positive integer.');
}
