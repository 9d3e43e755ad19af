// The store's part of `trunkline status`.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import type { StoreReport } from '../../../terminal/store-commands.ts';
import { table } from '../../../terminal/table.ts';
import { readMigrations, versionOf } from '../schema/migrations.ts';
import { type StoreStatus, storeStatus } from '../schema/status.ts';

interface Report {
  readonly schema: string;
  readonly version: number;
  readonly latestVersion: number;
  /** undefined: the schema is too old to tell. */
  readonly status: StoreStatus | undefined;
  /** Whether the log is stored there; undefined: no log was named, or the schema is too old to tell. */
  readonly holdsLog?: boolean | undefined;
}

/** @throws StoreSchemaMissing, StoreSchemaNewer, StoreSchemaMismatch */
export async function statusReport(client: pg.Client, schema: string, ofLog: string | undefined): Promise<StoreReport> {
  const known = await readMigrations();
  const version = await versionOf(client, schema, known);
  if (version === 0) throw new TrunklineError('StoreSchemaMissing', { schema, reason: 'it has no tables of ours' });
  const status = version < known.length ? undefined : await storeStatus(client, schema);
  const logs = status?.checkpoints.map(({ logId }) => logId);
  const holdsLog = ofLog === undefined ? undefined : logs?.includes(ofLog);
  const value: Report = { schema, version, latestVersion: known.length, status, holdsLog };
  return { value, lines: linesOf(value, ofLog) };
}

function linesOf(report: Report, logId: string | undefined): string[] {
  const { schema, version, latestVersion, status, holdsLog } = report;
  const head = `schema ${schema}: version ${version} of ${latestVersion}`;
  if (status === undefined) return [`${head}; run trunkline migrate`];
  const { checkpoints, outbox, quarantined } = status;
  const logs = checkpoints.map(({ logId, position, updatedAt }) => [logId, position, updatedAt.toISOString()]);
  const oldest = outbox.oldestMs === undefined ? '' : `, the oldest for ${outbox.oldestMs} ms`;
  return [
    head,
    ...(holdsLog === false ? [`  it does not hold log ${logId}: what follows is of other services`] : []),
    ...(logs.length > 0 ? table(['log', 'stored up to', 'at'], logs) : []),
    `quarantined events: ${quarantined}`,
    `outbox: ${outbox.waiting} events wait${oldest}`,
    ...outbox.claimed.map(({ logId, events }) => `  ${events} more are claimed for log ${logId}`),
  ];
}
