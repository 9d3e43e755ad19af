// Whether answers without events rest on what the store has: the head is this log's, at the version that the answer was
// decided on. Asked in the transaction of the flush that brings them, before it moves any head.
//
// Invariant: what an aggregate's actor has raised before stands before the answer in the log. So if the actor was the store's
// when it answered, the head is at its version when the flush has come there.
import type pg from 'pg';
import { type RefusedEvent, staleCode } from '../../../store/store.ts';
import { staleStatement } from './basis-sql.ts';
import type { Basis } from './plan.ts';

export class BasisStatement {
  private readonly logId: string;
  private readonly statement: ReturnType<typeof staleStatement>;

  /** `schema`: escaped. */
  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.statement = staleStatement(schema);
  }

  /** Those that the store contradicts. */
  async stale(client: pg.ClientBase, bases: readonly Basis[]): Promise<RefusedEvent[]> {
    if (bases.length === 0) return [];
    const rows = await this.statement.run(client, {
      types: bases.map(({ type }) => type),
      ids: bases.map(({ id }) => id),
      versions: bases.map(({ version }) => version),
      logId: this.logId,
    });
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
