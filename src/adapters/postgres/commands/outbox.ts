// `trunkline outbox`: what an operator does about events that a lost machine holds back.
import type { Command } from 'commander';
import { type OutputOptions, output, withJson } from '../../../terminal/output.ts';
import { releaseOutbox } from '../outbox/outbox-release.ts';
import { type ConnectionOptions, onStore, withConnection } from './connection.ts';

export function addOutbox(program: Command): void {
  const group = program.command('outbox').description('events of transactions that a log has yet to take');
  withJson(withConnection(group.command('release')))
    .argument('<log>', 'the log of a machine that is lost permanently; see trunkline status')
    .description('let other logs go on with what this one had claimed')
    .action((log: string, options: ConnectionOptions & OutputOptions) =>
      onStore(options, async (client) => {
        const { removed, waiting } = await releaseOutbox(client, options.schema, log);
        output(options, { removed, waiting }, () => [
          `${waiting} events wait for another log, ${removed} that were stored are let go`,
        ]);
      }),
    );
}
