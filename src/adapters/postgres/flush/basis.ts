// Whether answers without events rest on what the store has: the head is this log's, at the version that the answer was
// decided on. Asked in the transaction of the flush that brings them, before it moves any head.
//
// Invariant: what an aggregate's actor has raised before stands before the answer in the log. So if the actor was the store's
// when it answered, the head is at its version when the flush has come there.
import type pg from 'pg';
import { type RefusedEvent, staleCode } from '../../../store/store.ts';
import type { Basis } from './plan.ts';

export class BasisStatement {
  private readonly logId: string;
  private readonly sql: string;

  /** `schema`: escaped. */
  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.sql = `select at::float8, head.version, log_id, epoch
      from unnest($1::text[], $2::text[], $3::int[]) with ordinality as basis (type, id, version, at)
      left join ${schema}.aggregates head on aggregate_type = type and aggregate_id = id
      where coalesce(head.version, 0) <> basis.version or (head.version is not null and log_id is distinct from $4)`;
  }

  /** Those that the store contradicts. */
  async stale(client: pg.ClientBase, bases: readonly Basis[]): Promise<RefusedEvent[]> {
    if (bases.length === 0) return [];
    const { rows } = await client.query(this.sql, [
      bases.map(({ type }) => type),
      bases.map(({ id }) => id),
      bases.map(({ version }) => version),
      this.logId,
    ]);
    return rows.map(({ at, version, log_id, epoch }) => {
      const { type: aggregateType, id: aggregateId, version: decidedOn, position } = bases[at - 1]!;
      const owner = log_id === null ? 'transactions of the user' : `log ${log_id}`;
      const found =
        version === null ? 'the store has none of it' : `${owner} has it (epoch ${epoch}, version ${version})`;
      const reason = `an answer was decided on version ${decidedOn}, and ${found}`;
      return { aggregateType, aggregateId, version: decidedOn + 1, position, code: staleCode, reason };
    });
  }
}
