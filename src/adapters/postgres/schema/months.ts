// The months of domain_events as an administrator sees them: which partitions there are, made ahead, and the default
// partition emptied into the months that it holds. Runs wherever it is called, on a connection of its own.
//
// Invariants: one upkeep at a time (a row that the transaction that acts has locked); no lock is waited for longer than `lockTryMs`, since
// all who insert or read wait behind us meanwhile, and at the first month that a lock holds up the turn ends, since it would hold up the
// next ones, too; an event is in one partition at every moment that anyone can see.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { endsConnection, storeName } from '../session/failure.ts';
import { heldUpByOthers } from '../session/lock-holders.ts';
import { lockNames, tryLockSql } from '../session/locks-sql.ts';
import { PageSize } from '../session/page-size.ts';
import { savepoint } from '../session/savepoint-sql.ts';
import { beginSql } from '../session/session-sql.ts';
import { codeOf, isServerError, kindOf, lockNotAvailable, tookTooLong } from '../session/sqlstate.ts';
import { execute, executeEach } from '../session/statement.ts';
import { lockEvents, lockTryMs, othersFirst } from './lock-events.ts';
import {
  attach,
  copyNew,
  copyPage,
  createTable,
  deletePage,
  makeStatement,
  monthsStatement,
  ownerStatement,
  pageEndStatement,
  pageOf,
  rowsOfMonth,
  updateTaken,
} from './months-sql.ts';
import { type InDefault, inDefault, ownRanges, partitionOf, startOf, stateOf } from './partition-list.ts';
import type { MonthState } from './partition-list-sql.ts';

const attempts = 5;
/** Of a month whose events are copied first: each has so many tries at its lock. An upkeep comes again in a minute. */
const attemptsOfCopy = 2;
const triesOfCopy = 3;
const heldUp: ReadonlySet<string> = new Set([lockNotAvailable, '40P01']);
const checkViolation = '23514';
const duplicateTable = '42P07';

/** What an upkeep has done, and what it could not do. */
export interface MonthsKept {
  /** Names of the partitions that were made. */
  readonly made: readonly string[];
  /** Of this month and the next ones those without a partition, like `2026-12`: their events go into the default partition. */
  readonly missing: readonly string[];
  /** Months within the bound whose events lie in the default partition. */
  readonly inDefault: readonly string[];
  /** Events in the default partition of months beyond the bound; counted up to a limit. */
  readonly beyond: number;
  /** Partitions that are no months of ours. */
  readonly ownRanges: readonly string[];
  /** What stood in the way. */
  readonly failures: readonly unknown[];
}

/**
 * Make the partitions of this month and the next ones, and those of the months that the default partition holds, whose
 * events move there. Returns the names of those made; nothing if another upkeep is at work.
 * @throws what stood in the way of one month, once the others have been made
 */
export async function keepPartitions(
  client: pg.ClientBase,
  schema: string,
  monthsAhead: number,
  onMade?: (name: string) => void,
): Promise<string[]> {
  const { made, failures } = await keepMonths(client, schema, monthsAhead, onMade);
  if (failures.length > 0) throw failures[0];
  return [...made];
}

/**
 * The same, without throwing what stands in the way of single months. By make_partition, which has the owner's rights, where there
 * is nothing to be moved: that goes beside transactions that are open, and for a role that does not own the tables.
 */
export async function keepMonths(
  client: pg.ClientBase,
  schema: string,
  monthsAhead: number,
  onMade: (name: string) => void = () => {},
): Promise<MonthsKept> {
  const failures: unknown[] = [];
  const ahead = await monthsFrom(client, monthsAhead);
  const { held, beyond } = await inDefault(client, schema).catch((error: unknown): InDefault => {
    if (!isPassable(error)) throw error;
    failures.push(error); // those ahead are made in any case
    return { held: [], beyond: 0 };
  });
  const made: string[] = [];
  const [now, ...later] = ahead as [string, ...string[]];
  // Those to come first: for them no writer is in the way.
  const makers = [
    ...[...later, now].filter((month) => !held.includes(month)).map((month) => [month, makeAhead, attempts] as const),
    ...held.map((month) => [month, makeMonth, attemptsOfCopy] as const),
  ];
  for (const [month, make, most] of makers) {
    try {
      if (!(await retried(client, () => make(client, schema, month), most))) continue;
      made.push(partitionOf(month));
      onMade(partitionOf(month));
    } catch (error) {
      if (!isPassable(error)) throw error;
      const isHeldUp = heldUp.has(codeOf(error));
      failures.push(isHeldUp ? await heldUpByOthers(client, pg.escapeIdentifier(schema), month, error) : error);
      if (isHeldUp) break;
    }
  }
  const missing: string[] = [];
  for (const month of ahead) if (!isTaken((await stateOf(client, schema, month)).state)) missing.push(month);
  return {
    made: made.sort(),
    missing,
    inDefault: held.filter((month) => !made.includes(partitionOf(month))),
    beyond,
    ownRanges: await ownRanges(client, schema),
    failures,
  };
}

/** What the server says of one month is no reason to leave out the others; a server that does not come, or goes, is. */
const isPassable = (error: unknown): boolean =>
  error instanceof TrunklineError || tookTooLong(error) || (isServerError(error) && !endsConnection(error));

const isTaken = (state: MonthState): boolean => state === 'there' || state === 'covered';

async function monthsFrom(client: pg.ClientBase, ahead: number): Promise<readonly string[]> {
  return (await monthsStatement.run(client, { ahead })).map(({ month }) => month);
}

/** False if the month is there, or another upkeep at work. @throws StoreSchemaMismatch */
async function makeAhead(client: pg.ClientBase, schema: string, month: string): Promise<boolean> {
  await client.query(beginSql(`lock_timeout = ${lockTryMs}`));
  const statement = makeStatement(pg.escapeIdentifier(schema));
  const isMade =
    (await canBeMade(client, schema, month)) && (await statement.one(client, { start: startOf(month) })).made !== null;
  await client.query('commit');
  return isMade;
}

/** False if its events have a place. @throws StoreSchemaMismatch: something stands in its way */
async function canBeMade(client: pg.ClientBase, schema: string, month: string): Promise<boolean> {
  const { state, reason } = await stateOf(client, schema, month);
  if (state === 'free' || isTaken(state)) return state === 'free';
  throw new TrunklineError('StoreSchemaMismatch', { schema, reason: `month ${month} gets no partition: ${reason}` });
}

/**
 * One transaction, which holds the lock on upkeep from before it looks whether the month is there until it has attached it:
 * made and filled beside while all others read and write; then, with them held for a moment, completed, emptied from the
 * default partition and attached. Nothing is ever dropped here. False if the month is there, or another upkeep at work.
 *
 * All others are held at domain_events itself. A writer that had been sent on to the default partition already would wait
 * there, and afterwards fail for a row that does not belong there any more; a reader would wait there, and afterwards see
 * neither the rows that have gone nor the partition that they have gone to.
 */
async function makeMonth(client: pg.ClientBase, schema: string, month: string): Promise<boolean> {
  const name = pg.escapeIdentifier(schema);
  const partition = partitionOf(month);
  const [events, rest, table] = [`${name}.domain_events`, `${name}.domain_events_default`, `${name}.${partition}`];
  const [start, end] = [startOf(month), startOf(after(month))];
  const rows = rowsOfMonth(rest, start, end);
  await refuseOthers(client, events, month);
  await client.query(beginSql(`lock_timeout = ${lockTryMs}`));
  if (!(await lockUpkeep(client, schema)) || !(await canBeMade(client, schema, month))) {
    await client.query('rollback');
    return false;
  }
  await execute(client, createTable(table, events));
  const pages = new PageSize(rowsPerPage, pagesToGrow);
  await paged(client, pages, partition, rows, async (page) => {
    await execute(client, copyPage(table, page));
  });
  await lockEvents(client, events, rest, triesOfCopy);
  await paged(client, pages, partition, rows, async (page) => {
    await execute(client, copyNew(table, page));
    await execute(client, updateTaken(table, page));
    await execute(client, deletePage(page));
  });
  await execute(client, attach(events, table, start, end));
  await client.query('commit');
  return true;
}

/** A page costs some questions more; what a statement may take holds for one of many rows as for one of few. */
const rowsPerPage = 20_000;
const pagesToGrow = 16;
const pageSavepoint = savepoint('page');

/**
 * `work` on all of these rows, page by page in the order of their sequence, in the transaction that is open. A page that takes
 * longer than a statement may is undone, and goes on in smaller ones.
 */
async function paged(
  client: pg.ClientBase,
  pages: PageSize,
  table: string,
  rows: string,
  work: (page: string) => Promise<void>,
): Promise<void> {
  const undo = (error: unknown): Promise<unknown> => {
    if (!isServerError(error)) throw error;
    return execute(client, pageSavepoint.undo);
  };
  const statement = pageEndStatement(rows);
  for (let after = String(-(2n ** 63n)); ; ) {
    await execute(client, pageSavepoint.begin);
    const from = after;
    const last = await pages.page(
      `a row of ${table}`,
      async (size, held) => {
        const { last, count } = await statement.one(client, { after: from, most: size });
        held(count);
        if (last !== null) await work(pageOf(rows, from, last));
        return last;
      },
      undo,
    );
    await execute(client, pageSavepoint.keep);
    if (last === null) return;
    after = last;
  }
}

/** @throws StoreAccessDenied: only who owns the tables moves events between them */
async function refuseOthers(client: pg.ClientBase, events: string, month: string): Promise<void> {
  const { role, is_owner: isOwner } = await ownerStatement.one(client, { table: events });
  if (isOwner) return;
  const cause = `events of ${month} lie in the default partition, and role ${role} does not own the tables: run trunkline partitions make as their owner`;
  throw new TrunklineError('StoreAccessDenied', { store: storeName, cause });
}

/** Until the transaction ends; the function make_partition takes the same lock. False if another upkeep has it. */
async function lockUpkeep(client: pg.ClientBase, schema: string): Promise<boolean> {
  const results = await executeEach(client, tryLockSql(pg.escapeIdentifier(schema), lockNames.upkeep));
  return results.at(-1)!.rowCount === 1;
}

function after(month: string): string {
  const [year, number] = month.split('-').map(Number) as [number, number];
  const next = number === 12 ? [year + 1, 1] : [year, number + 1];
  return `${String(next[0]).padStart(4, '0')}-${String(next[1]).padStart(2, '0')}`;
}

/** Again, where another's lock or a row that has slipped in stood in the way. The transaction is rolled back in any case. */
export async function retried<T>(client: pg.ClientBase, work: () => Promise<T>, most: number = attempts): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      await client.query('rollback').catch(() => {});
      const mayPass = kindOf(error) === 'busy' || [checkViolation, duplicateTable].includes(codeOf(error));
      if (!mayPass || tried >= most) throw error;
    }
    await othersFirst(tried);
  }
}
