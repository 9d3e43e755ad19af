// `trunkline schemas accept | check`: the schemas of all events in a file that is committed, and what a change of the code would
// break. Exit code 1: something is broken.

import { type Command, Option } from 'commander';
import { TrunklineError } from '../base/errors.ts';
import { refused } from '../base/foreign-file.ts';
import { tame } from '../base/tame.ts';
import { checkSchemas, withoutSchema } from '../schemas/check.ts';
import { type DescribedAggregate, describeAggregates } from '../schemas/describe.ts';
import { type Finding, findingLine } from '../schemas/finding.ts';
import { loadAggregates } from '../schemas/load.ts';
import { type Lock, lockText, readLock, writeLock } from '../schemas/lock-file.ts';
import { type Mode, modes } from '../schemas/modes.ts';
import { reconcile } from '../schemas/reconcile.ts';
import { remediesOf } from '../schemas/remedies.ts';
import { everyName } from '../schemas/taken-over.ts';
import { Found, type OutputOptions, output, withJson } from '../terminal/output.ts';
import { fromModule } from './user-code.ts';

interface Options extends OutputOptions {
  aggregates: string;
  file: string;
}

/** Add the commands to a program. */
export function addSchemas(program: Command): void {
  const group = program
    .command('schemas')
    .description('JSON Schemas of events: which were published, what breaks them');
  withFiles(group.command('accept'))
    .description('write new events and versions to the lock file; published ones stay as they are')
    .option('--force <name...>', 'events (customer.Moved) or aggregates whose published schemas may change or go')
    .action(async (options: Options & { force?: string[] }) => {
      const { file, force = [] } = options;
      const described = describeAggregates(await fromModule(options.aggregates, loadAggregates));
      const before = readLock(file);
      checkForced(force, described, before ?? new Map());
      const { broken, taken, added, lock } = reconcile(described, before ?? new Map(), new Set(force));
      const isWritten = broken.length === 0 && (before === undefined || lockText(before) !== lockText(lock));
      if (isWritten) writeLock(file, lock);
      const notes = withoutSchema(described, lock);
      output(options, { file, written: isWritten, added, forced: taken, refused: broken, notes }, () => [
        ...notes.map((one) => `note: ${findingLine(one)}`),
        ...(broken.length > 0 ? broken : added).map(findingLine),
        ...(broken.length > 0 ? [] : taken.map((one) => `forced: ${findingLine(one)}`)),
        ...remediesOf(broken),
        broken.length > 0 ? `${file} is left as it was` : isWritten ? `${file} is written` : 'nothing has changed',
      ]);
      if (broken.length > 0) throw new Found();
    });
  withFiles(group.command('check'))
    .description('compare the code with the lock file, and run upcasters on samples; changes nothing')
    .addOption(
      new Option('--mode <mode>', 'also hold versions as they are stored against each other, as a registry does')
        .choices(modes)
        .default('NONE'),
    )
    .action(async (options: Options & { mode: Mode }) => {
      const { file, mode } = options;
      const aggregates = await fromModule(options.aggregates, loadAggregates);
      const lock = readLock(file);
      if (lock === undefined) throw refused(file, 'is not there: run trunkline schemas accept');
      const { errors, notes } = checkSchemas(aggregates, lock, mode);
      output(options, { errors, notes }, () => [
        ...notes.map((one) => `note: ${findingLine(one)}`),
        ...errors.map((one) => `error: ${findingLine(one)}`),
        ...remediesOf(errors),
        errors.length === 0 ? 'nothing is broken' : counted(errors),
      ]);
      if (errors.length > 0) throw new Found();
    });
}

/** A misspelt name would force nothing, in silence. @throws InvalidOptions */
function checkForced(force: readonly string[], described: readonly DescribedAggregate[], lock: Lock): void {
  const known = new Set<string>();
  for (const [stored, events] of lock) {
    const aggregate = described.map(everyName).find((names) => names.includes(stored)) ?? [stored];
    for (const name of aggregate)
      for (const end of ['', ...[...events.keys()].map((type) => `.${type}`)]) known.add(name + end);
  }
  const unknown = force.find((name) => !known.has(name));
  if (unknown === undefined) return;
  const reason = `'${tame(unknown, 80)}' is nothing in the lock file: name an event as aggregate.Event, or an aggregate`;
  throw new TrunklineError('InvalidOptions', { option: '--force', reason });
}

const withFiles = (command: Command): Command =>
  withJson(command)
    .requiredOption('--aggregates <module>', 'exports the aggregates, and does nothing else when it is loaded')
    .option('--file <lock>', 'the lock file, which you commit', 'events.lock.json');

const counted = ({ length }: readonly Finding[]): string => `${length} ${length === 1 ? 'error' : 'errors'}`;
