// The rows of `held_aggregates` of one log: from which position on an aggregate's events wait for the lock of its head.
import type pg from 'pg';
import { columnsOf, keyOf } from './held-groups.ts';
import { heldStatement, putHeldStatement, removeHeldStatement } from './held-table-sql.ts';

export class HeldTable {
  private readonly logId: string;
  private readonly held: ReturnType<typeof heldStatement>;
  private readonly remove: ReturnType<typeof removeHeldStatement>;
  private readonly put: ReturnType<typeof putHeldStatement>;

  /** `schema`: escaped. */
  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.held = heldStatement(schema);
    this.remove = removeHeldStatement(schema);
    this.put = putHeldStatement(schema);
  }

  async rows(client: pg.ClientBase): Promise<Map<string, number>> {
    const rows = await this.held.run(client, { logId: this.logId });
    return new Map(rows.map(({ type, id, position }) => [keyOf(type, id), position]));
  }

  /** Within the transaction: from what the table has to what it is to have. Returns whether they differ. */
  async move(
    client: pg.ClientBase,
    before: ReadonlyMap<string, number>,
    after: ReadonlyMap<string, number>,
  ): Promise<boolean> {
    const { logId } = this;
    const gone = [...before.keys()].filter((key) => !after.has(key));
    const changed = [...after].filter(([key, position]) => before.get(key) !== position);
    if (gone.length > 0) await this.remove.count(client, { logId, ...columnsOf(gone) });
    if (changed.length > 0) {
      const positions = changed.map(([, position]) => position);
      await this.put.count(client, { logId, ...columnsOf(changed.map(([key]) => key)), positions });
    }
    return gone.length + changed.length > 0;
  }
}
