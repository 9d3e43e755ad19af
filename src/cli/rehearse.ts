// `trunkline rehearse --old … --new …`: what two releases make of the same stored history, before the switch. Exit code 1: they
// differ, or cannot be compared on an aggregate since the store lacks events of it; 3: nothing was compared. Differences go to
// standard output, progress to stderr: as a line that changes on a terminal, now and then elsewhere.
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { realpathSync } from '../base/disk.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { Rehearsal, RehearsalCounts, RehearsalOptions } from '../rehearsal/contract.ts';
import { rehearse } from '../rehearsal/rehearse.ts';
import { readOrigin } from '../runtime/directory.ts';
import { loadAggregates } from '../schemas/load.ts';
import type { StoreOptions } from '../store/adapter.ts';
import { Found, type OutputOptions, output, withJson } from '../terminal/output.ts';
import { endProgress, printError, printProgress } from '../terminal/print.ts';
import { dataDirOption, positiveInteger, share, time } from '../terminal/words.ts';
import { inWords } from './in-words.ts';
import { countsLine, nothingCompared, rehearsalLines } from './rehearsal-lines.ts';
import { namedStore, requiredStore, storeOptions, warnOfUnusedStore, withStore } from './stores.ts';
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

/** Not 0, since a gate that looks at nothing must not be green; not 1, since nothing was found either. */
const nothingComparedCode = 3;

/** What `rehearse` calls its options, as they are written here. */
const words = {
  old: '--old',
  new: '--new',
  aggregateType: '--aggregate',
  aggregateId: '--id',
  since: '--since',
  until: '--until',
  sample: '--sample',
  ignore: '--ignore',
  limit: '--limit',
  'from.aggregateType': '--from',
  'from.aggregateId': '--from',
};

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
      const { id, aggregate, dataDir } = options;
      if (id !== undefined && aggregate === undefined) command.error('error: --id needs --aggregate');
      if (dataDir === undefined && namedStore(options) === undefined) {
        command.error(`error: give --data-dir, or ${storeOptions}`);
      }
      const progress = progressShower();
      const store = await storeOf(options, command); // before code of the user's runs
      const old = await fromModule(options.old, loadAggregates);
      const now = await fromModule(options.new, loadAggregates);
      const interrupted = interruption(); // while a module is loaded, a signal ends the process as ever
      try {
        const given = { ...optionsOf(options), old, new: now, store, signal: interrupted.signal };
        const result = await inWords(words, () => rehearse({ ...given, onProgress: progress.show }));
        progress.end();
        output(options, result, () => rehearsalLines(result));
        for (const warning of warningsOf(options, result)) printError(`trunkline: warning: ${warning}`);
        const isUnproven = result.incomplete > 0 && !options.allowIncomplete;
        if (result.different > 0 || isUnproven) throw new Found();
        if (result.next !== undefined) throw new Found(interrupted.exitCode()); // the rest may differ
        const nothing = nothingCompared(result, narrowing(options), askedFor(options, old, result));
        if (nothing === undefined) return;
        printError(`trunkline: ${nothing}`);
        throw new Found(nothingComparedCode);
      } finally {
        interrupted.end();
      }
    });
}

function optionsOf(options: Options): Omit<RehearsalOptions, 'old' | 'new'> {
  const { id, aggregate, since, until, sample, ignore, limit, from, dataDir } = options;
  return {
    ...{ dataDir, aggregateType: aggregate, aggregateId: id, sample, ignore, limit, from },
    since: since === undefined ? undefined : new Date(since),
    until: until === undefined ? undefined : new Date(until),
  };
}

function warningsOf(options: Options, { unusedIgnore }: Rehearsal): string[] {
  return [
    ...unusedIgnore.map((pattern) => `--ignore ${pattern} covers no difference`),
    ...(isSameFile(options.old, options.new) ? ['--old and --new are the same file: they cannot differ'] : []),
  ];
}

/** By a path or a file's URL, as modules are named; both have been imported. */
function isSameFile(a: string, b: string): boolean {
  const fileOf = (name: string): string => (URL.canParse(name) ? fileURLToPath(name) : name);
  return realpathSync(fileOf(a)) === realpathSync(fileOf(b));
}

/** Options that were given and that leave aggregates out. */
const narrowing = ({ sample, since, until }: Options): string[] =>
  Object.entries({ '--sample': sample, '--since': since, '--until': until }).flatMap(([name, given]) =>
    given === undefined ? [] : [name],
  );

/** '': there was no type of which both sides have reducers. */
function askedFor({ aggregate, id, from }: Options, old: readonly AnyAggregate[], result: Rehearsal): string {
  if (id !== undefined) return `${aggregate}/${id}`;
  const left = [...result.onlyOld, ...result.entities];
  const types = aggregate ?? old.flatMap(({ name }) => (left.includes(name) ? [] : [name])).join(', ');
  if (types === '') return '';
  return `of ${types}${from === undefined ? '' : ` from ${from.aggregateType}/${from.aggregateId} on`}`;
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
async function storeOf(options: Options, command: Command): Promise<StoreOptions | undefined> {
  const { dataDir } = options;
  if (dataDir === undefined) return namedStore(options)?.options;
  const origin = readOrigin(dataDir);
  if (origin?.holds === 'events') warnOfUnusedStore(command, dataDir);
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
