// `trunkline status`: how far logs and stores are. Reads the data directory without owning it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type pg from 'pg';
import { TrunklineError } from '../errors.ts';
import { inspectLog } from '../log/inspect.ts';
import { readMigrations, versionOf } from '../store/postgres/migrations.ts';
import { storeStatus } from '../store/postgres/status.ts';
import { type ConnectionOptions, connected, withConnection } from './connection.ts';
import { bytes, table } from './table.ts';

const print = (text: string): void => void process.stdout.write(text);

export function addStatus(program: Command): void {
  withConnection(program.command('status'))
    .description('how far a log (--data-dir) and a store (--postgres) are')
    .option('--data-dir <folder>', 'the data directory of a runtime; it may be running')
    .action(async (options: ConnectionOptions & { dataDir?: string }) => {
      if (options.dataDir === undefined && options.postgres === undefined) {
        const reason = 'give --data-dir, --postgres, or both';
        throw new TrunklineError('InvalidOptions', { option: '--data-dir', value: undefined, reason });
      }
      if (options.dataDir !== undefined) printLog(options.dataDir);
      if (options.postgres !== undefined) await connected(options, (client) => printStore(client, options.schema));
    });
}

function printLog(folder: string): void {
  const log = existsSync(folder) ? inspectLog(join(folder, 'log')) : undefined;
  if (log === undefined) {
    throw new TrunklineError('DataDirUnreadable', { dataDir: folder, reason: 'there is no log in it' });
  }
  const { logId, isClean, firstPosition, lastPosition, fault } = log;
  print(`log ${logId}\n`);
  print(`  ${isClean ? 'closed in order' : 'in use, or not closed in order'}, ${bytes(log.bytes)}\n`);
  if (fault !== undefined) print(`  positions cannot be read: ${fault}; the next start recovers it\n`);
  else if (lastPosition === 0) print('  empty\n');
  else print(`  positions ${firstPosition} to ${lastPosition}\n`);
}

async function printStore(client: pg.Client, schema: string): Promise<void> {
  const known = await readMigrations();
  const version = await versionOf(client, schema, known);
  print(
    `schema ${schema}: version ${version} of ${known.length}${version < known.length ? '; run trunkline migrate' : ''}\n`,
  );
  if (version < known.length) return;
  const { checkpoints, outbox, quarantined } = await storeStatus(client, schema);
  if (checkpoints.length > 0) {
    print(
      table(
        ['log', 'stored up to', 'at'],
        checkpoints.map(({ logId, position, updatedAt }) => [logId, position, updatedAt.toISOString()]),
      ),
    );
  }
  print(`quarantined events: ${quarantined}\n`);
  print(
    `outbox: ${outbox.waiting} events wait${outbox.oldestMs === undefined ? '' : `, the oldest for ${outbox.oldestMs} ms`}\n`,
  );
  for (const { logId, events } of outbox.claimed) print(`  ${events} more are claimed for log ${logId}\n`);
}
