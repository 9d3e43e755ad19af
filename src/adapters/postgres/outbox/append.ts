// Events of entities into a transaction of the user's own, on the user's own connection: heads, events and outbox by one
// function of the schema, in one round trip. Runs in the host thread.
//
// The call is a named statement only where the client talks to a server process of its own: that saves a fifth of its time
// (parsing nine parameters). A pooler may run the next one on another connection, which does not know the name. All other
// plans are those in the functions (migrations/000008-append.sql, 000027-rights-to-save.sql); each session of the server keeps
// them.
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
import type { Statement } from '../session/statement.ts';
import { timeText } from '../session/time-text.ts';
import { type Arguments, appendOneStatement, appendSeveralStatement } from './append-sql.ts';

export class PostgresAppend implements TransactionAppend {
  private readonly one: Statement<Arguments, { version: number; pid: number }>;
  private readonly several: Statement<Arguments, { versions: number[] }>;
  private readonly name: string;
  /** Whether a client has a server process of its own, which keeps named statements; unknown before its first event. */
  private readonly isNamed = new WeakMap<TransactionClient, boolean>();

  constructor(schema: string) {
    const home = pg.escapeIdentifier(schema);
    this.one = appendOneStatement(home);
    this.name = `trunkline_${createHash('sha256').update(this.one.text).digest('hex').slice(0, 16)}`;
    this.several = appendSeveralStatement(home);
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
    const given = {
      ...{ id, aggregateType, aggregateId, type, schemaVersion },
      occurredAt: timeText(occurredAt.getTime()),
      data: dataJson,
      metadata: metadataJson || null,
      expected: event.expectedVersion ?? null,
    };
    const { version, pid } = await this.one.oneOfUsers(client, given, this.isNamed.get(client) ? this.name : undefined);
    if (!this.isNamed.has(client)) this.isNamed.set(client, isDirect(client, pid));
    return version;
  }

  private async appendSeveral(client: TransactionClient, events: readonly AppendedEvent[]): Promise<number[]> {
    const column = <T>(pick: (event: AppendedEvent) => T): T[] => events.map(pick);
    const { versions } = await this.several.oneOfUsers(client, {
      id: column(({ id }) => id),
      aggregateType: column(({ aggregateType }) => aggregateType),
      aggregateId: column(({ aggregateId }) => aggregateId),
      type: column(({ type }) => type),
      schemaVersion: column(({ schemaVersion }) => schemaVersion),
      occurredAt: column(({ occurredAt }) => timeText(occurredAt.getTime())),
      data: column(({ dataJson }) => dataJson),
      metadata: column(({ metadataJson }) => metadataJson || null),
      expected: column(({ expectedVersion }) => (expectedVersion === undefined ? null : expectedVersion + 1)),
    });
    return versions;
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
