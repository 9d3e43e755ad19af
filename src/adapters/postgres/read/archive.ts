// PostgreSQL as the host thread reads it: the reading half of the public event store, and pages for the history.
import pg from 'pg';
import { yieldToLoop } from '../../../base/clock.ts';
import type { TrunklineError } from '../../../base/errors.ts';
import { checkFields } from '../../../base/known-fields.ts';
import type { AnyAggregate, EventOf, StateOf } from '../../../model/aggregate.ts';
import type { StoredEvent } from '../../../model/event.ts';
import type { ControlBlock } from '../../../shared/control-block.ts';
import type { StoreArchive } from '../../../store/adapter.ts';
import type { EventFilter } from '../../../store/filter.ts';
import { foldTo } from '../../../store/fold.ts';
import { eventsOfType, filterOf, storeQueryFields } from '../../../store/query.ts';
import {
  type AsOf,
  type FramePage,
  type Head,
  nameOf,
  type PagedStore,
  type QuarantinedEvent,
  type StateAt,
  type StoreQuery,
  type TypeQuery,
} from '../../../store/store.ts';
import { quarantined } from '../flush/quarantine.ts';
import { copyEvents, type EventPage, RowBytes } from '../rows/pages.ts';
import { eventsIn } from '../rows/rows.ts';
import { refuseUnreadable, UnreadableRows, warnOf } from '../rows/unreadable.ts';
import { checkSchema } from '../schema/session.ts';
import { borrowed } from '../session/borrowed.ts';
import { type Guard, guard } from '../session/guard.ts';
import { onOwnPath } from '../session/own-path.ts';
import { PageSize } from '../session/page-size.ts';
import type { PostgresStoreOptions } from '../session/postgres.ts';
import { openPool } from '../session/server-session.ts';
import type { Statement } from '../session/statement.ts';
import {
  beforeAll,
  boundsStatement,
  eventsFrom,
  headsPerPage,
  headsStatement,
  limited,
  logFrom,
  numberedFrom,
  type Place,
  storeFrom,
  versionStatement,
  writerStatement,
} from './archive-sql.ts';
import { PostgresHistory } from './history.ts';

const eventsPerPage = 5_000;
/** A page that takes too long costs the time of a statement: it is not tried often. */
const pagesToGrow = 64;
const connections = 4;

type Read<T> = (client: pg.PoolClient, discard: () => void) => Promise<T>;

/** `isLast`: nothing follows. */
export interface ArchivePage {
  readonly page: EventPage;
  readonly isLast: boolean;
}

export class PostgresArchive implements StoreArchive {
  private readonly pool: pg.Pool;
  private readonly isOwnPool: boolean;
  private readonly schema: string;
  private readonly schemaName: string;
  private readonly guard: Guard;
  private readonly loadTimeoutMs: number;
  private readonly pageSize = new PageSize(eventsPerPage, pagesToGrow);
  private readonly rowBytes = new RowBytes();
  private readonly leftOut: UnreadableRows;
  private isChecked = false;

  /** `report`: of a row that cannot be read, and is left out. */
  constructor({ settings, pool }: PostgresStoreOptions, report: (error: TrunklineError) => void = warnOf) {
    this.leftOut = new UnreadableRows(report);
    this.isOwnPool = pool === undefined;
    this.pool =
      pool ??
      openPool(
        settings.connection,
        { name: 'trunkline read', timeoutMs: settings.statementTimeoutMs },
        connections,
        settings.loadTimeoutMs,
      );
    this.schemaName = settings.schema;
    this.loadTimeoutMs = settings.loadTimeoutMs;
    this.schema = pg.escapeIdentifier(settings.schema);
    this.guard = guard(settings.schema);
  }

  get unreadable(): number {
    return this.leftOut.count;
  }

  async close(): Promise<void> {
    if (this.isOwnPool) await this.pool.end();
  }

  /** Whether the server is there and its schema is one to read. */
  check(): Promise<void> {
    return this.run(async () => {});
  }

  getByAggregate<A extends AnyAggregate>(aggregate: A, id: string): Promise<EventOf<A>[]>;
  getByAggregate(aggregate: string, id: string): Promise<StoredEvent[]>;
  getByAggregate(aggregate: AnyAggregate | string, id: string): Promise<any[]> {
    return this.eventsOf(nameOf(aggregate), id, 1, Number.MAX_SAFE_INTEGER);
  }

  getFromVersion<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    version: number,
    limit?: number,
  ): Promise<EventOf<A>[]>;
  getFromVersion(aggregate: string, id: string, version: number, limit?: number): Promise<StoredEvent[]>;
  getFromVersion(
    aggregate: AnyAggregate | string,
    id: string,
    version: number,
    limit: number = Number.MAX_SAFE_INTEGER,
  ): Promise<any[]> {
    return this.eventsOf(nameOf(aggregate), id, Math.max(1, version), limit);
  }

  getByType(type: string, query: TypeQuery = {}): Promise<StoredEvent[]> {
    return eventsOfType(this, type, query, eventsPerPage);
  }

  async *query(query: StoreQuery = {}): AsyncGenerator<StoredEvent> {
    checkFields('query', query, storeQueryFields);
    const { signal, pageSize = eventsPerPage } = query;
    const filter = filterOf(query);
    const limit = Math.min(pageSize, eventsPerPage);
    const left = new AbortController(); // what is read ahead when the caller stops gives its connection back
    const ended = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
    let isSorted = false;
    let after = beforeAll;
    const read = (): Promise<ArchivePage> => this.storePage(filter, after, isSorted, limit, ended);
    try {
      let next = read();
      for (let pages = 1; ; pages++) {
        const { page, isLast } = await next;
        isSorted ||= page.hasTies;
        after = { sequence: page.lastSequence, id: page.lastId };
        const readsOn = pages > 1 && !isLast; // behind the first page: the server makes the next one while this one is taken
        if (readsOn) {
          next = read();
          next.catch(() => {}); // awaited in its turn, or not at all
          await yieldToLoop(); // its statement is sent
        }
        this.leftOut.note(page);
        for (const event of eventsIn(page)) {
          signal?.throwIfAborted();
          yield event;
        }
        if (isLast) return;
        signal?.throwIfAborted();
        if (!readsOn) next = read();
      }
    } finally {
      left.abort();
    }
  }

  /** Rows that share a number come by their ids. Where none do, as in most tables, the server sorts nothing for that. */
  private async storePage(
    filter: EventFilter,
    after: Place,
    isSorted: boolean,
    limit: number,
    signal: AbortSignal,
  ): Promise<ArchivePage> {
    if (!isSorted) {
      const found = await this.copyPage((most) => numberedFrom(this.schema, filter, after, most), limit, signal);
      // One that was cut may end between two that share a number.
      if (!found.page.hasTies && !found.page.isCut) return found;
    }
    const from = storeFrom(this.schema, filter, after);
    return this.copyPage((most) => limited(from, most), limit, signal);
  }

  historyOf(logId: string, control: ControlBlock): PagedStore {
    return new PostgresHistory(this, logId, control);
  }

  /** The events of one log, in its order: positions `from` to `to`, `limit` at most. */
  async logPage(
    logId: string,
    filter: EventFilter,
    from: number,
    to: number,
    limit: number,
    signal?: AbortSignal,
  ): Promise<ArchivePage> {
    const rows = logFrom(this.schema, logId, filter, from, to);
    const found = await this.copyPage((most) => limited(rows, most), limit, signal);
    this.leftOut.note(found.page);
    return found;
  }

  async stateAt<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    moment: AsOf,
  ): Promise<StateAt<StateOf<A>> | undefined> {
    const limit = 'version' in moment ? moment.version : Number.MAX_SAFE_INTEGER;
    if (limit < 1) return undefined;
    return foldTo(aggregate, await this.eventsOf(nameOf(aggregate), id, 1, limit), moment);
  }

  async head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined> {
    const [head] = await this.select(versionStatement(this.schema), { type: nameOf(aggregate), id });
    return head;
  }

  /**
   * How the store contradicts that an aggregate was at this version when the log was at `position`; undefined: it does not.
   * The next event tells: it must be this log's, and behind.
   */
  async otherThan(
    logId: string,
    type: string,
    id: string,
    version: number,
    position: number,
  ): Promise<string | undefined> {
    const [head] = await this.select(boundsStatement(this.schema), { type, id });
    const stored = head?.version ?? 0;
    if (stored === version) return undefined;
    if (stored < version) return `the store has it at version ${stored}`;
    const [next] = await this.select(writerStatement(this.schema, head!), { type, id, version: version + 1 });
    if (next === undefined) return undefined; // its month has been dropped: long ago
    if (next.log_id === logId && next.position! > position) return undefined;
    const owner = next.log_id === null ? 'transactions of the user' : `log ${next.log_id}`;
    return next.log_id === logId ? `this log had gone on before` : `${owner} has gone on from there`;
  }

  async *heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }> {
    const heads = headsStatement(this.schema);
    for (let after = ''; ; ) {
      const rows = await this.select(heads, { type: nameOf(aggregate), after });
      yield* rows;
      if (rows.length < headsPerPage) return;
      after = rows.at(-1)!.id;
    }
  }

  quarantined(): AsyncIterableIterator<QuarantinedEvent> {
    return quarantined((statement, after) => this.select(statement, after), this.schema);
  }

  private async eventsOf(type: string, id: string, first: number, limit: number): Promise<StoredEvent[]> {
    const [head] = await this.select(boundsStatement(this.schema), { type, id });
    if (head === undefined) return [];
    const events: StoredEvent[] = [];
    for (let next = first; events.length < limit; ) {
      const wanted = Math.min(eventsPerPage, limit - events.length);
      const from = eventsFrom(this.schema, { type, id }, next, head);
      const { page, isLast } = await this.copyPage((most) => limited(from, most), wanted);
      refuseUnreadable(page);
      for (const event of eventsIn(page)) events.push(event);
      if (isLast) break;
      next = events.at(-1)!.version + 1;
    }
    return events;
  }

  async framesFrom(type: string, id: string, version: number): Promise<FramePage> {
    const [head] = await this.select(boundsStatement(this.schema), { type, id });
    if (head === undefined) return { frames: Buffer.alloc(0), count: 0, positions: [], isLast: true };
    const from = eventsFrom(this.schema, { type, id }, version, head);
    const { page, isLast } = await this.copyPage((most) => limited(from, most), eventsPerPage);
    refuseUnreadable(page);
    const { frames, count, positions } = page;
    return { frames, count, positions, isLast };
  }

  /**
   * A page of `limit` events at most; of fewer, where that takes longer than a statement may, or more bytes than a page: as many
   * as would have fitted of the last ones.
   */
  private async copyPage(from: (most: number) => string, limit: number, signal?: AbortSignal): Promise<ArchivePage> {
    const read = async (size: number): Promise<ArchivePage> => {
      const page = await this.run(async (client, discard) => {
        const copied = await copyEvents(client, from(size));
        if (copied.isCut) discard();
        return copied;
      }, signal);
      this.rowBytes.note(page);
      return { page, isLast: !page.isCut && page.rows < size };
    };
    return this.pageSize.page('an event', read, undefined, Math.min(limit, this.rowBytes.fitting));
  }

  private select<Given extends object, Row extends object>(
    statement: Statement<Given, Row>,
    given: Given,
  ): Promise<Row[]> {
    return this.run((client) => statement.run(client, given));
  }

  private async run<T>(read: Read<T>, signal?: AbortSignal): Promise<T> {
    // What a signal has ended says nothing of the server: the guard does not count it.
    const done = await this.guard(async () => {
      try {
        const work: Read<T> = (borrowed, discard) => {
          const client = this.isOwnPool ? borrowed : onOwnPath(borrowed);
          return this.checked(client, () => read(client, discard));
        };
        return { value: await borrowed(this.pool, this.loadTimeoutMs, signal, work) };
      } catch (error) {
        if (signal?.aborted) return undefined;
        throw error;
      }
    });
    if (done === undefined) throw signal!.reason;
    return done.value;
  }

  private async checked<T>(client: pg.PoolClient, read: () => Promise<T>): Promise<T> {
    if (!this.isChecked) await checkSchema(client, this.schemaName);
    this.isChecked = true;
    return read();
  }
}
