// The tables of a schema as they stand now, to be put back later: what a restore of an older dump, or a failover to a
// standby that lacked the newest transactions, makes of a database.
import type pg from 'pg';

const tables = [
  'aggregates',
  'domain_events',
  'flush_checkpoints',
  'quarantined_events',
  'snapshots',
  'outbox',
  'outbox_relay',
  'event_handler_positions',
  'handler_entries',
] as const;
const sequences = ['domain_events_sequence', 'outbox_batch'] as const;

export interface DatabaseCopy {
  /**
   * One transaction, so that no client sees a part of it. `leap`: how far the numbers of batches stand ahead of the copy, as after a
   * recovery, whose log has up to 32 numbers before they are drawn.
   */
  putBack(leap?: number): Promise<void>;
}

export async function copyDatabase(client: pg.Client, schema: string): Promise<DatabaseCopy> {
  const values: [string, string, boolean][] = [];
  await client.query('begin isolation level repeatable read');
  for (const table of tables) await client.query(`create table ${schema}.copy_of_${table} as table ${schema}.${table}`);
  for (const sequence of sequences) {
    const { rows } = await client.query(`select last_value, is_called from ${schema}.${sequence}`);
    values.push([sequence, rows[0].last_value, rows[0].is_called]);
  }
  await client.query('commit');
  return {
    async putBack(leap = 0) {
      await lockAll(client, schema);
      for (const table of tables) {
        await client.query(`delete from ${schema}.${table}`);
        await client.query(`insert into ${schema}.${table} table ${schema}.copy_of_${table}`);
      }
      for (const [sequence, last, isCalled] of values) {
        const ahead = sequence === 'outbox_batch' ? leap : 0;
        await client.query(`select setval('${schema}.${sequence}', ${Number(last) + ahead}, ${isCalled || ahead > 0})`);
      }
      await client.query('commit');
    },
  };
}

/** In a transaction. Who works there takes them in other orders: where the server ends ours for that, all are free again. */
async function lockAll(client: pg.Client, schema: string): Promise<void> {
  for (;;) {
    await client.query('begin');
    try {
      await client.query(`lock table ${tables.map((table) => `${schema}.${table}`).join(', ')}`);
      return;
    } catch (error) {
      await client.query('rollback');
      if ((error as { code?: string }).code !== '40P01') throw error;
    }
  }
}
