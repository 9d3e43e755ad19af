// Events of entities into a transaction of the user's own, on the user's own connection: heads, events and outbox by one
// function of the schema, in one round trip. Runs in the host thread.
//
// The call is a named statement only where the client talks to a server process of its own: that saves a fifth of its time
// (parsing nine parameters). A pooler may run the next one on another connection, which does not know the name. All other
// plans are those in the function (migrations/000008-append.sql); each session of the server keeps them.
//
// Invariants: an aggregate's head is locked before its events take their numbers, and until the transaction ends, so that
// numbers within an aggregate run like its versions; either all events of a call are appended or the server raises an
// error, after which the transaction can only be rolled back.

import { createHash } from 'node:crypto';
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { checkedJson, number, text, tuple } from '../../../base/json.ts';
import type { AppendedEvent, TransactionAppend, TransactionClient } from '../../../store/store.ts';
import { isDirect } from '../session/server-session.ts';
import { codeOf } from '../session/sqlstate.ts';
import { timeText } from '../session/time-text.ts';

/** Of the arguments, each said: with the types left open, a function of the same name in the schema could be chosen. */
const types = ['uuid', 'text', 'text', 'text', 'int4', 'timestamptz', 'jsonb', 'jsonb', 'int4'].map(
  (type) => `pg_catalog.${type}`,
);

export class PostgresAppend implements TransactionAppend {
  private readonly one: string;
  private readonly several: string;
  private readonly name: string;
  /** Whether a client has a server process of its own, which keeps named statements; unknown before its first event. */
  private readonly isNamed = new WeakMap<TransactionClient, boolean>();

  constructor(schema: string) {
    const home = pg.escapeIdentifier(schema);
    const list = (suffix: string): string => types.map((type, i) => `$${i + 1}::${type}${suffix}`).join(', ');
    this.one = `select ${home}.append_event(${list('')}) as version, pg_catalog.pg_backend_pid() as pid`;
    this.name = `trunkline_${createHash('sha256').update(this.one).digest('hex').slice(0, 16)}`;
    this.several = `select ${home}.append_events(${list('[]')}) as versions`;
  }

  async append(client: TransactionClient, events: readonly AppendedEvent[]): Promise<number[]> {
    try {
      if (events.length > 1) return await this.appendSeveral(client, events);
      return [await this.appendOne(client, events[0]!)];
    } catch (error) {
      // The user has reset the session (DEALLOCATE, DISCARD), which pg does not notice: from now on without a name.
      if (codeOf(error) === unknownStatement) this.isNamed.set(client, false);
      throw refusal(error);
    }
  }

  private async appendOne(client: TransactionClient, event: AppendedEvent): Promise<number> {
    const { id, aggregateType, aggregateId, type, schemaVersion, occurredAt, dataJson, metadataJson } = event;
    const expected = event.expectedVersion ?? null;
    const values = [
      id,
      aggregateType,
      aggregateId,
      type,
      schemaVersion,
      timeText(occurredAt.getTime()),
      dataJson,
      metadataJson || null,
      expected,
    ];
    const named = this.isNamed.get(client) && { name: this.name };
    const { rows } = await client.query({ ...named, text: this.one, values });
    if (!this.isNamed.has(client)) this.isNamed.set(client, isDirect(client, rows[0].pid));
    return rows[0].version;
  }

  private async appendSeveral(client: TransactionClient, events: readonly AppendedEvent[]): Promise<number[]> {
    const column = <T>(pick: (event: AppendedEvent) => T): T[] => events.map(pick);
    const values = [
      column(({ id }) => id),
      column(({ aggregateType }) => aggregateType),
      column(({ aggregateId }) => aggregateId),
      column(({ type }) => type),
      column(({ schemaVersion }) => schemaVersion),
      column(({ occurredAt }) => timeText(occurredAt.getTime())),
      column(({ dataJson }) => dataJson),
      column(({ metadataJson }) => metadataJson || null),
      column(({ expectedVersion }) => (expectedVersion === undefined ? null : expectedVersion + 1)),
    ];
    const { rows } = await client.query({ text: this.several, values });
    return rows[0].versions;
  }
}

const conflict = tuple(text, text, number, number);

/** SQLSTATE invalid_sql_statement_name. */
const unknownStatement = '26000';

/** What the server's functions refuse, as our errors; anything else as it came: it is the user's own connection. */
function refusal(error: unknown): unknown {
  const { detail, message } = error as { detail?: string; message?: string };
  if (codeOf(error) === 'TKWRD') {
    const reason = message!.slice(message!.indexOf(': ') + 2);
    return new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType: detail ?? '', reason }, { cause: error });
  }
  if (codeOf(error) === 'TKCON') {
    const [aggregateType, aggregateId, expectedVersion, actualVersion] = checkedJson(
      detail ?? '',
      conflict,
      'a conflict',
    );
    const details = { aggregateType, aggregateId, expectedVersion, actualVersion };
    return new TrunklineError('ConcurrencyConflict', details, { cause: error });
  }
  return error;
}
