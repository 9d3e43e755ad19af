// `trunkline rehearse --old … --new …`: what two releases make of the same stored history, before the switch. Exit code 1: they
// differ, or cannot be compared on an aggregate since the store lacks events of it. Differences go to standard output, progress
// to stderr: as a line that changes on a terminal, now and then elsewhere.
import { constants } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Rehearsal, RehearsalCounts, RehearsalDifference, RehearsalOptions } from '../rehearsal/contract.ts';
import { rehearse } from '../rehearsal/rehearse.ts';
import { readOrigin } from '../runtime/directory.ts';
import { loadAggregates } from '../schemas/load.ts';
import type { StoreOptions } from '../store/adapter.ts';
import { Found, type OutputOptions, output, withJson } from '../terminal/output.ts';
import { endProgress, printProgress } from '../terminal/print.ts';
import { dataDirOption, positiveInteger, share, time } from '../terminal/words.ts';
import { namedStore, requiredStore, storeOptions, withStore } from './stores.ts';
import { fromModule } from './user-code.ts';

interface Options extends OutputOptions {
  old: string;
  new: string;
  dataDir?: string;
  aggregate?: string;
  id?: string;
  since?: string;
  until?: string;
  sample?: number;
  ignore?: string[];
  limit?: number;
  from?: NonNullable<RehearsalOptions['from']>;
  allowIncomplete?: true;
}

/** Where no terminal shows them, lines stay: fewer of them. */
const plainEverySeconds = 10;

/** Add the command to a program. */
export function addRehearse(program: Command): void {
  withJson(withStore(program.command('rehearse')))
    .description('fold the stored history by two releases, and say where their states differ; changes nothing')
    .requiredOption('--old <module>', 'exports the aggregates of the release that is running')
    .requiredOption('--new <module>', 'exports the aggregates of the release to come')
    .addOption(dataDirOption("the service's data directory; it may be running"))
    .option('--aggregate <type>', 'aggregates of this type')
    .option('--id <id>', 'this aggregate; needs --aggregate')
    .option('--since <time>', 'aggregates with an event that occurred then or later (ISO 8601)', time)
    .option('--until <time>', 'states as they were before then (ISO 8601)', time)
    .option('--sample <share>', 'a share of the aggregates, above 0 and up to 1: the same ones each time', share)
    .addOption(
      new Option('--ignore <pattern...>', 'differences that are meant: order:totals.net, order:items[*].price'),
    )
    .option('--limit <count>', 'describe at most so many differences; 20 unless said', positiveInteger)
    .option('--from <type/id>', 'go on with this aggregate', aggregatePlace)
    .option('--allow-incomplete', 'exit code 0 though the store has not all events of some aggregate')
    .action(async (options: Options, command: Command) => {
      const { id, aggregate, since, until, sample, ignore, limit, from, dataDir } = options;
      if (id !== undefined && aggregate === undefined) command.error('error: --id needs --aggregate');
      if (dataDir === undefined && namedStore(options) === undefined) {
        command.error(`error: give --data-dir, or ${storeOptions}`);
      }
      const progress = progressShower();
      const store = await storeOf(options); // before code of the user's runs
      const old = await fromModule(options.old, loadAggregates);
      const now = await fromModule(options.new, loadAggregates);
      const interrupted = interruption(); // while a module is loaded, a signal ends the process as ever
      try {
        const result = await rehearse({
          ...{ old, new: now },
          ...{ dataDir, store, aggregateType: aggregate, aggregateId: id, sample, ignore, limit, from },
          since: since === undefined ? undefined : new Date(since),
          until: until === undefined ? undefined : new Date(until),
          signal: interrupted.signal,
          onProgress: progress.show,
        });
        progress.end();
        output(options, result, () => lines(result));
        const isUnproven = result.incomplete > 0 && !options.allowIncomplete;
        if (result.different > 0 || isUnproven) throw new Found();
        if (result.next !== undefined) throw new Found(interrupted.exitCode()); // the rest may differ
      } finally {
        interrupted.end();
      }
    });
}

/** The first signal ends a rehearsal with what it has found; a second one ends the process. */
function interruption(): { signal: AbortSignal; exitCode(): number; end(): void } {
  const controller = new AbortController();
  let exitCode = 1;
  const interrupt = (signal: NodeJS.Signals): void => {
    exitCode = 128 + constants.signals[signal];
    end();
    controller.abort();
  };
  const names = ['SIGINT', 'SIGTERM'] as const;
  const end = (): void => {
    for (const name of names) process.off(name, interrupt);
  };
  for (const name of names) process.on(name, interrupt);
  return { signal: controller.signal, exitCode: () => exitCode, end };
}

/** The directory says whether its events are in a store: one that a variable of the shell names does not decide it. */
async function storeOf(options: Options): Promise<StoreOptions | undefined> {
  const { dataDir } = options;
  if (dataDir === undefined) return namedStore(options)?.options;
  const origin = readOrigin(dataDir);
  return origin?.holds === 'memory' ? requiredStore(options).holding(origin.logId, ` of ${dataDir}`) : undefined;
}

function aggregatePlace(text: string): NonNullable<RehearsalOptions['from']> {
  const slash = text.indexOf('/');
  if (slash > 0 && slash < text.length - 1) {
    return { aggregateType: text.slice(0, slash), aggregateId: text.slice(slash + 1) };
  }
  throw new InvalidArgumentError('It must be a type and an id, as order/o-17.');
}

function progressShower(): { show(progress: RehearsalCounts): void; end(): void } {
  let shownAt = 0;
  return {
    show(progress) {
      if (!process.stderr.isTTY && progress.seconds < shownAt + plainEverySeconds) return;
      shownAt = progress.seconds;
      printProgress(countsLine(progress));
    },
    end() {
      if (shownAt > 0) endProgress();
    },
  };
}

function countsLine({ aggregates, events, different, seconds }: RehearsalCounts): string {
  const rate = Math.round(events / Math.max(seconds, 0.001));
  const of = `${events.toLocaleString('en')} events of ${aggregates.toLocaleString('en')} aggregates`;
  return `${of}, ${different.toLocaleString('en')} differ; ${rate.toLocaleString('en')} events/s`;
}

function lines(result: Rehearsal): string[] {
  const { differences, different, ignored, failedAlike, incomplete, onlyOld, onlyNew, notStored, next } = result;
  const left = different - differences.length;
  return [
    ...differences.flatMap(differenceLines),
    ...(left > 0 ? [`${left.toLocaleString('en')} more differ; --limit describes more of them`] : []),
    countsLine(result),
    ...(ignored > 0 ? [`${ignored.toLocaleString('en')} differ in ignored places only`] : []),
    ...(failedAlike > 0 ? [`${failedAlike.toLocaleString('en')} cannot be folded by either side`] : []),
    ...(incomplete > 0 ? [`${incomplete.toLocaleString('en')} left out: the store has not all of their events`] : []),
    ...onlyOld.map((name) => `${name} is in --old alone: not compared`),
    ...onlyNew.map((name) => `${name} is in --new alone: not compared`),
    ...(notStored > 0
      ? [`${notStored.toLocaleString('en')} positions of the log are not in the store yet: not compared`]
      : []),
    ...(looksSwapped(result) ? ['--old fails where --new does not: are the two swapped?'] : []),
    ...(next === undefined ? [] : [`ended early; go on by --from ${next.aggregateType}/${next.aggregateId}`]),
  ];
}

/** The release that is running has read its own events. */
const looksSwapped = ({ differences }: Rehearsal): boolean =>
  differences.some(({ oldFailure }) => oldFailure !== undefined) &&
  differences.every(({ newFailure }) => newFailure === undefined);

function differenceLines(difference: RehearsalDifference): string[] {
  const { aggregateType, aggregateId, version, position, eventType, changes, changeCount } = difference;
  const { oldFailure, newFailure } = difference;
  const at = `${aggregateType}/${aggregateId} at version ${version} (${eventType}, position ${position})`;
  const failures = [
    ...(oldFailure === undefined ? [] : [`  --old fails: ${oldFailure.code}: ${oldFailure.message}`]),
    ...(newFailure === undefined ? [] : [`  --new fails: ${newFailure.code}: ${newFailure.message}`]),
  ];
  if (failures.length > 0) return [`${at}: fails`, ...failures];
  const left = changeCount - changes.length;
  return [
    `${at}: states differ from here on`,
    ...changes.map(({ path, old, new: now }) => `  ${path || 'the state'}: ${old ?? 'nothing'} → ${now ?? 'nothing'}`),
    ...(left > 0 ? [`  and ${left.toLocaleString('en')} more places`] : []),
  ];
}
