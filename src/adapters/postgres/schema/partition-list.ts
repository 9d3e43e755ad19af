// What partitions domain_events has: by the ranges that they are attached with, never by their names. Which months may be made, and
// within what bound, the schema's function month_state alone says (migration 18).
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { shown } from '../../../base/shown.ts';
import {
  countsStatement,
  defaultStatement,
  inDefaultStatement,
  type MonthState,
  partitionsStatement,
  rangesStatement,
  stateStatement,
} from './partition-list-sql.ts';

/** One partition. */
export interface PartitionInfo {
  readonly name: string;
  /** `2026-01`; undefined: the default partition, or one with a range of its own, which is left alone. */
  readonly month: string | undefined;
  /** Of one with a range of its own. */
  readonly range?: string;
  readonly rows: number;
  readonly bytes: number;
  /** Events that no log has yet. */
  readonly inOutbox: number;
}

/** What the default partition holds. */
export interface InDefault {
  /** Months within the bound, the oldest first. */
  readonly held: readonly string[];
  /** Events of months beyond it. */
  readonly beyond: number;
}

export const partitionOf = (month: string): string => `domain_events_${month.replace('-', '_')}`;
export const startOf = (month: string): string => `${month}-01T00:00:00Z`;

/** `2026-01`, or InvalidOptions. */
export function checkMonth(option: string, month: string): string {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) return month;
  throw new TrunklineError('InvalidOptions', { option, value: shown(month), reason: 'must be a month like 2026-01' });
}

/** All of them, the oldest first, the default partition last. Counts exactly: for large tables this takes a while. */
export async function listPartitions(client: pg.ClientBase, schema: string): Promise<PartitionInfo[]> {
  const name = pg.escapeIdentifier(schema);
  const partitions: PartitionInfo[] = [];
  for (const { name: partition, home, month, range, bytes } of await partitionsStatement(name).run(client, {})) {
    const table = `${pg.escapeIdentifier(home)}.${pg.escapeIdentifier(partition)}`;
    const { rows, waiting: inOutbox } = await countsStatement(name, table).one(client, {});
    partitions.push({
      ...{ name: partition, month: month ?? undefined },
      ...(range !== null && { range }),
      ...{ rows, bytes, inOutbox },
    });
  }
  return partitions;
}

/** What stands in the way of a partition of this month. */
export async function stateOf(
  client: pg.ClientBase,
  schema: string,
  month: string,
): Promise<{ state: MonthState; reason: string | null }> {
  return stateStatement(pg.escapeIdentifier(schema)).one(client, { start: startOf(month) });
}

/**
 * Whether there is a partition of this month, and of it alone.
 * @throws StoreSchemaMismatch if its table is no partition, one that was detached, for example, or has another range
 */
export async function isAttached(client: pg.ClientBase, schema: string, month: string): Promise<boolean> {
  const { state, reason } = await stateOf(client, schema, month);
  if (state !== 'taken') return state === 'there';
  throw new TrunklineError('StoreSchemaMismatch', {
    schema,
    reason: `month ${month} has no partition of its own: ${reason}`,
  });
}

/** Partitions with ranges of their own, the first ones by name. */
export async function ownRanges(client: pg.ClientBase, schema: string): Promise<string[]> {
  const ranges = await rangesStatement(pg.escapeIdentifier(schema)).run(client, {});
  return ranges.map(({ name }) => name);
}

/**
 * Only of the default partition as it is attached: what was detached is not ours to move.
 * @throws StoreSchemaMismatch
 */
export async function inDefault(client: pg.ClientBase, schema: string): Promise<InDefault> {
  const name = pg.escapeIdentifier(schema);
  if ((await defaultStatement(name).count(client, {})) === 0) {
    const reason = 'domain_events_default is not the default partition of domain_events; attach it again';
    throw new TrunklineError('StoreSchemaMismatch', { schema, reason });
  }
  return inDefaultStatement(name).one(client, {});
}
