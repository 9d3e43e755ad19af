// `trunkline topics`: the topics of a stream, as they are and as they should be.

import type { Command } from 'commander';
import { openHostsOf } from '../adapters/kafka/settings.ts';
import { applyTopics, type PlannedChange, planTopics } from '../adapters/kafka/topic-plan.ts';
import { TrunklineError } from '../base/errors.ts';
import { declaredEvents } from '../model/catalogue.ts';
import type { RuntimeOptions } from '../runtime/options.ts';
import { exportsOf } from '../schemas/load.ts';
import { type OutputOptions, output, withJson } from '../terminal/output.ts';
import { warnOfOpen } from '../terminal/print.ts';
import { fromModule } from './user-code.ts';

interface Given extends OutputOptions {
  config: string;
}

export function addTopics(program: Command): void {
  const group = program.command('topics').description("a Kafka stream's topics: compare, create, change");
  const config = '--config <module>';
  const what = 'module whose default export has the `aggregates` and the `stream` of createRuntime';

  withJson(group.command('plan'))
    .description('what differs from the configuration; changes nothing')
    .requiredOption(config, what)
    .action(async (given: Given) => {
      const { stream, aggregates } = await optionsOf(given);
      const changes = await planTopics(stream, declaredEvents(aggregates));
      output(given, changes, () => (changes.length === 0 ? ['nothing differs'] : changes.map(line)));
    });

  withJson(group.command('apply'))
    .description('create what is missing, change what differs')
    .requiredOption(config, what)
    .action(async (given: Given) => {
      const { stream, aggregates } = await optionsOf(given);
      const changes = await applyTopics(stream, declaredEvents(aggregates));
      const done = changes.filter(({ obstacle }) => obstacle === undefined);
      const left = changes.filter(({ obstacle }) => obstacle !== undefined);
      output(given, changes, () => [
        ...(done.length === 0 ? ['nothing changed'] : done.map((change) => `${line(change)}: done`)),
        ...left.map(line),
      ]);
    });
}

function line({ topic, what, wanted, found, obstacle }: PlannedChange): string {
  const change = what === 'missing' ? `is missing, wanted with ${wanted}` : `${what} ${found}, wanted ${wanted}`;
  return `${topic}: ${change}${obstacle === undefined ? '' : `: ${obstacle}`}`;
}

async function optionsOf({ config }: Given): Promise<Required<Pick<RuntimeOptions, 'stream' | 'aggregates'>>> {
  const { default: options } = (await fromModule(config, exportsOf)) as { default?: Partial<RuntimeOptions> };
  const { stream, aggregates } = options ?? {};
  if (stream && aggregates) {
    for (const { host } of openHostsOf(stream.options)) warnOfOpen(host);
    return { stream, aggregates };
  }
  const reason = "its module's default export must have `aggregates` and `stream`";
  throw new TrunklineError('InvalidOptions', { option: '--config', reason });
}
