// `trunkline migrate`: bring the schema up to this release, or tell what that would do.
import type { Command } from 'commander';
import { migrate } from '../store/postgres/migrate.ts';
import { type ConnectionOptions, connectionOf, withConnection } from './connection.ts';

export function addMigrate(program: Command): void {
  withConnection(program.command('migrate'))
    .description('apply the migrations that the schema lacks')
    .option('--dry-run', 'print their SQL instead', false)
    .action(async (options: ConnectionOptions & { dryRun: boolean }) => {
      const { schema, dryRun } = options;
      const report = await migrate({ connection: connectionOf(options), schema, dryRun });
      const print = (text: string): void => void process.stdout.write(`${text}\n`);
      for (const { name, sql } of report.migrations) print(dryRun ? `-- ${name}\n${sql}` : `applied ${name}`);
      const outcome = report.migrations.length === 0 ? 'nothing to do' : dryRun ? 'nothing applied' : 'done';
      print(`${dryRun ? '-- ' : ''}schema ${schema} is at version ${report.version}: ${outcome}`);
    });
}
