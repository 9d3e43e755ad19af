// `trunkline handlers forget`: all that is kept of a handler that is gone permanently, and with it its hold on the store's months.
import { type Command, Option } from 'commander';
import { checkForget, type ForgottenHandler } from '../runtime/forget-handler.ts';
import { forgetHandler, forgetLostHandler } from '../runtime/offline-handlers.ts';
import { type OutputOptions, output, withJson } from '../terminal/output.ts';
import { dataDirOption } from '../terminal/words.ts';
import { lostPlaceOf, placeOf } from './place.ts';
import { withStore } from './stores.ts';

interface Options extends OutputOptions {
  dataDir?: string;
  log?: string;
  dryRun?: boolean;
}

/** Add the commands to a program. */
export function addHandlers(program: Command): void {
  const group = program.command('handlers').description('what is kept of handlers');
  withJson(withStore(group.command('forget')))
    .argument('<name>', 'as trunkline status shows it; of a projection projection:NAME')
    .description('remove all that is kept of a handler, projection or reader that is gone permanently')
    .addOption(dataDirOption("the service's data directory; it may be running, without this handler"))
    .addOption(
      new Option('--log <log>', 'the log of a machine that is lost permanently, in place of its data directory'),
    )
    .option('--dry-run', 'only say what would go')
    .action(async (name: string, options: Options, command: Command) => {
      const { dataDir, log, dryRun = false } = options;
      const isDirectoryGiven = dataDir !== undefined && command.getOptionValueSource('dataDir') === 'cli';
      if (log !== undefined && isDirectoryGiven) command.error('error: give --data-dir or --log, not both');
      if (log === undefined && dataDir === undefined)
        command.error('error: give --data-dir, or --log of a lost machine');
      checkForget(name, {});
      const forgotten =
        log === undefined
          ? await forgetHandler(await placeOf({ ...options, dataDir: dataDir! }), name, dryRun)
          : await forgetLostHandler(await lostPlaceOf(options, log), name, dryRun);
      output(options, forgotten, () => lines(forgotten));
    });
}

function lines({ name, kind, outcome, position, rows, dropped, stays, checkpoints }: ForgottenHandler): string[] {
  const verb = outcome === 'forgotten' ? 'removed' : 'to be removed';
  return [
    `${kind} ${name}: ${outcome}, it stood at position ${position}`,
    `  ${checkpoints.length} checkpoint${checkpoints.length === 1 ? '' : 's'} ${verb}: ${checkpoints.join(', ')}`,
    ...(rows > 0 ? [`  ${rows} rows on this machine ${verb}`] : []),
    ...dropped.map((table) => `  table ${table} ${verb}: rows were being built there`),
    ...(stays === undefined ? [] : [`  table ${stays} is yours and stays, with its rows`]),
  ];
}
