// `trunkline migrate`: bring the schema up to this release, or tell what that would do.
import type { Command } from 'commander';
import { type OutputOptions, output, withJson } from '../../../terminal/output.ts';
import { migrate } from '../schema/migrate.ts';
import { type ConnectionOptions, connectionOf, withConnection } from './connection.ts';

export function addMigrate(program: Command): void {
  withJson(withConnection(program.command('migrate')))
    .description('apply the migrations that the schema lacks')
    .option('--dry-run', 'print their SQL instead', false)
    .action(async (options: ConnectionOptions & OutputOptions & { dryRun: boolean }) => {
      const { schema, dryRun } = options;
      const report = await migrate({ connection: connectionOf(options), schema, dryRun });
      const outcome = report.migrations.length === 0 ? 'nothing to do' : dryRun ? 'nothing applied' : 'done';
      output(options, { dryRun, ...report }, () => [
        ...report.migrations.flatMap(({ name, sql }) =>
          dryRun ? [`-- ${name}`, ...sql.split('\n')] : [`applied ${name}`],
        ),
        `${dryRun ? '-- ' : ''}schema ${schema} is at version ${report.version}: ${outcome}`,
      ]);
    });
}
