// The relay's statements. Each is a transaction of its own, unnamed: a pooler may run two of them on two connections.
//
// Invariants: a claim holds the lock of the row in `outbox_relay` and names the session written there, so claims of all
// runtimes come one after the other, and a session that has been followed by another claims nothing more, however late
// its statement arrives. What a statement has written is durable when it returns, whatever `synchronous_commit` says.
import pg from 'pg';
import { tame } from '../../../base/tame.ts';
import type {
  Claim,
  Claimed,
  ClaimedEvent,
  ClaimedRow,
  DoubtfulRow,
  OutboxSession,
  Place,
} from '../../../outbox/outbox.ts';
import { failure } from '../session/failure.ts';
import { destroyClient } from '../session/server-session.ts';
import {
  type ClaimedFound,
  claimedStatement,
  claimStatement,
  countSetAsideStatement,
  doubtfulStatement,
  dueStatement,
  lastBatchStatement,
  raisedTypesStatement,
  removeStatement,
  resignStatement,
  resolveStatement,
  restartStatement,
  setAsideStatement,
  settleStatement,
  takeStatement,
} from './relay-session-sql.ts';

const raisedTypesLimit = 100_000;
const slice = { fewest: 2, most: 500 }; // rows that the server adds up, to find out how many fit

export interface PostgresSessionIdentity {
  readonly logId: string;
  /** Unique for this session. */
  readonly id: string;
  /** The session of this process before; undefined: this is the first, and follows any earlier process of this log. */
  readonly former: string | undefined;
}

/** `schema`: escaped. */
export async function raisedTypesIn(client: pg.Client, schema: string): Promise<ReadonlySet<string>> {
  const rows = await raisedTypesStatement(schema).run(client, { most: raisedTypesLimit });
  return new Set(rows.map(({ type }) => type));
}

export class PostgresOutboxSession implements OutboxSession {
  private readonly client: pg.Client;
  private readonly schema: string;
  private readonly name: string;
  private readonly identity: PostgresSessionIdentity;
  private isRelay = false;
  private sliceRows = slice.fewest;

  /** `schema`: not escaped. */
  constructor(client: pg.Client, schema: string, identity: PostgresSessionIdentity) {
    this.client = client;
    this.schema = schema;
    this.name = pg.escapeIdentifier(schema);
    this.identity = identity;
  }

  raisedTypes(): Promise<ReadonlySet<string>> {
    return this.asked(() => raisedTypesIn(this.client, this.name));
  }

  async claim(limit: number, last: number): Promise<Claim> {
    const { client, name } = this;
    const { logId, id: session, former = null } = this.identity;
    if (!this.isRelay) {
      const taken = await this.asked(() => takeStatement(name).count(client, { logId, session, former }));
      this.isRelay = taken === 1;
      if (!this.isRelay) return nothingClaimed(false);
    } else {
      const { isRelay, isDue } = await this.asked(() => dueStatement(name).one(client, { session }));
      if (isRelay === true && isDue === false) return nothingClaimed(true);
    }
    const found = await this.asked(() => claimStatement(name).one(client, { logId, session, limit, last }));
    this.isRelay = found.isRelay === true;
    const { events, stored, held, heldBy } = found;
    return { isRelay: this.isRelay, events, batch: Number(found.batch), stored, held: Math.max(0, held), heldBy };
  }

  async claimed({ batch, sequence }: Place, bytes: number): Promise<Claimed> {
    const given = { logId: this.identity.logId, batch, sequence, rows: this.sliceRows, bytes };
    const rows = await this.asked(() => claimedStatement(this.name).run(this.client, given));
    // So many rows were added up for so many that fit: the next slice tries with about twice the latter.
    this.sliceRows = Math.min(slice.most, Math.max(slice.fewest, rows.length * 2));
    return {
      events: rows.filter((row) => !row.isOrphan && !row.isKnown).map(claimedEvent),
      orphans: rows.filter((row) => row.isOrphan).map(claimedRow),
      known: rows.filter((row) => row.isKnown).map(claimedRow),
    };
  }

  async remove(rows: readonly Place[]): Promise<void> {
    if (rows.length === 0) return;
    const places = { batches: rows.map(({ batch }) => batch), sequences: rows.map(({ sequence }) => sequence) };
    const { logId } = this.identity;
    await this.asked(() => removeStatement(this.name).count(this.client, { logId, ...places }));
  }

  async setAside({ batch, sequence }: Place, reason: string): Promise<void> {
    const given = { logId: this.identity.logId, batch, sequence, reason: tame(reason) };
    await this.asked(() => setAsideStatement(this.name).count(this.client, given));
  }

  async countSetAside(): Promise<number> {
    const { count } = await this.asked(() => countSetAsideStatement(this.name).one(this.client, {}));
    return count;
  }

  async settle(floor: number): Promise<void> {
    const { logId } = this.identity;
    await this.asked(() => settleStatement(this.name).count(this.client, { logId, floor }));
  }

  async lastBatch(): Promise<number> {
    const { last } = await this.asked(() => lastBatchStatement(this.name).one(this.client, {}));
    return last;
  }

  async doubtful(sequence: number, limit: number): Promise<DoubtfulRow[]> {
    const { logId } = this.identity;
    const rows = await this.asked(() => doubtfulStatement(this.name).run(this.client, { logId, sequence, limit }));
    return rows.map((row) => ({ ...row, occurredAt: Math.round(row.occurredAt) }));
  }

  async resolve(done: readonly { sequence: number; position: number }[]): Promise<void> {
    if (done.length === 0) return;
    const given = {
      logId: this.identity.logId,
      sequences: done.map(({ sequence }) => sequence),
      positions: done.map(({ position }) => position),
    };
    await this.asked(() => resolveStatement(this.name).count(this.client, given));
  }

  async restartBehind(batch: number): Promise<void> {
    const { logId } = this.identity;
    await this.asked(() => restartStatement(this.name).count(this.client, { logId, batch }));
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => {});
  }

  async resign(): Promise<void> {
    const { id: session } = this.identity;
    if (this.isRelay) await this.asked(() => resignStatement(this.name).count(this.client, { session }));
  }

  abort(): void {
    destroyClient(this.client);
  }

  private async asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw failure(error, this.schema);
    }
  }
}

const nothingClaimed = (isRelay: boolean): Claim => ({ isRelay, events: 0, batch: 0, stored: 0, held: 0, heldBy: [] });

const placeOf = ({ batch, sequence }: ClaimedFound): Place => ({ batch: Number(batch), sequence: Number(sequence) });

const claimedRow = (row: ClaimedFound): ClaimedRow => ({ ...placeOf(row), id: row.id });

/** Of a row that is no orphan: its event has all that the table demands. */
const claimedEvent = (row: ClaimedFound): ClaimedEvent => ({
  ...claimedRow(row),
  aggregateType: row.aggregateType!,
  aggregateId: row.aggregateId!,
  version: row.version!,
  type: row.type!,
  schemaVersion: row.schemaVersion!,
  occurredAt: Math.round(row.occurredAt!),
  data: row.data!,
  metadata: row.metadata,
});
