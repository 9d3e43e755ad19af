// Following domain_events from any process that can reach the database, without a runtime.
//
// Neither the numbers of rows nor those of transactions run like commits: a transaction may take its number early and write
// late. So rows are read in windows between two snapshots: those of transactions that had not ended in the one and have in
// the other. Every transaction ends once, so its rows are in one window, and nothing is skipped. Within a window rows go by
// their sequence, which within an aggregate runs like its versions (a writer takes the aggregate's lock before it takes
// numbers). Of two writers of one aggregate the second could only write once the first had ended: whichever snapshot has
// the second one's end has the first one's too, so its window is the same or an earlier one.
//
// Windows between two values of pg_snapshot_xmin would not do: with a third transaction open whose number lies between
// those of the two, the second one's window would close first. (tail.test.ts has the case.)

import type pg from 'pg';
import { backoffMs, jittered } from '../../../base/backoff.ts';
import { checkFunction, checkInteger, checkSignal } from '../../../base/checks.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { guarded } from '../../../base/guarded.ts';
import { checkFields, fieldsOf } from '../../../base/known-fields.ts';
import { onAbort, pauseUnless } from '../../../base/on-abort.ts';
import { PagedIterator } from '../../../base/paged-iterator.ts';
import type { StoredEvent } from '../../../model/event.ts';
import type { EventPage } from '../rows/pages.ts';
import type { UnreadableRows } from '../rows/unreadable.ts';
import {
  type Connection,
  checkSchemaName,
  configOf,
  defaultSchema,
  type HiddenConnection,
  quotedName,
} from '../session/connection.ts';
import { failure } from '../session/failure.ts';
import { mayPass } from '../session/sqlstate.ts';
import type { TailPages } from './tail-pages.ts';
import { hasBegun, readToken, snapshotOf, type TailToken, tokenText, type Window } from './tail-token.ts';

/** Where to begin, and which reports to get. */
export interface TailOptions {
  connection: Connection;
  /** Where the tables live; default `trunkline`. */
  schema?: string | undefined;
  /** The `token` of the last event that has been dealt with; default: from the first event that is there. */
  from?: string | undefined;
  /** Ends the iteration with its reason. */
  signal?: AbortSignal | undefined;
  /** How often to look for more, milliseconds, 1 to 60,000; default 100. */
  pollMs?: number | undefined;
  /** Most events read at once, 1 to 100,000; default 2,000. */
  pageSize?: number | undefined;
  /**
   * Told of lost connections: the tail opens another, from where it is. And of rows that cannot be read (`EventUnreadable`): the
   * tail goes on behind them. Default: a warning of the process for each such row.
   */
  onError?(error: TrunklineError): void;
}

/** An event, and the place behind it. */
export interface TailedEvent {
  readonly event: StoredEvent;
  /** Give it as `from` to go on behind this event. Opaque. */
  readonly token: string;
}

const pauses = { minMs: 100, maxMs: 10_000 };
const statementTimeoutMs = 60_000;
/**
 * Every event that is, or will be, in the store, without end: none left out, none twice, each aggregate's in the order of
 * its versions. A transaction that writes for long delays its own events and no others. Needs the primary server.
 *
 * ```ts
 * for await (const { event, token } of tailEvents({ connection, from: await lastToken(), signal })) { … }
 * ```
 * @throws InvalidOptions; StoreAccessDenied, StoreSchemaMissing and the signal's reason while iterating
 */
export function tailEvents(options: TailOptions): AsyncIterableIterator<TailedEvent> {
  checkFields('tailEvents', options, tailFields);
  const { pollMs = 100, pageSize = 2000, signal, onError } = options;
  if (signal !== undefined) checkSignal(signal);
  if (onError !== undefined) checkFunction('onError', onError);
  checkSchemaName(options.schema ?? defaultSchema);
  checkInteger('pollMs', pollMs, 1, 60_000);
  checkInteger('pageSize', pageSize, 1, 100_000);
  const settings = { ...options, connection: configOf(options.connection), pollMs, pageSize };
  const token = readToken(options.from);
  return new PagedIterator((ending) => new Tail({ ...settings, signal: ending }, token).pages(), signal);
}

const tailFields = fieldsOf<TailOptions>({
  connection: true,
  schema: 'text',
  from: true,
  signal: true,
  pollMs: true,
  pageSize: true,
  onError: 'function',
});

type Settings = Omit<TailOptions, 'connection' | 'signal'> &
  Required<Pick<TailOptions, 'pollMs' | 'pageSize'>> & { connection: HiddenConnection; signal: AbortSignal };

class Tail {
  private readonly settings: Settings;
  private readonly schemaName: string;
  private token: TailToken;
  private client: pg.Client | undefined;
  private windows: TailPages | undefined;
  private unreadable: UnreadableRows | undefined;
  private failures = 0;

  constructor(settings: Settings, token: TailToken) {
    this.settings = settings;
    this.schemaName = settings.schema ?? defaultSchema;
    this.token = token;
  }

  async *pages(): AsyncGenerator<TailedEvent[]> {
    const { signal, pollMs } = this.settings;
    const forget = onAbort(signal, () => this.disconnect());
    try {
      for (;;) {
        signal.throwIfAborted();
        const page = await this.attempt(() => this.nextPage());
        if (page === undefined) {
          await pauseUnless(signal, pollMs);
          continue;
        }
        yield page;
      }
    } finally {
      forget();
      this.disconnect();
    }
  }

  /** The events that follow, perhaps none; undefined: no transaction has ended since. */
  private async nextPage(): Promise<TailedEvent[] | undefined> {
    if (this.token.to === undefined && !(await this.openWindow())) return undefined;
    const window = this.token as Window;
    // The rows of a small window by their transactions, sorted; of a large one in the order of the sequence, page by page.
    if (!hasBegun(window)) {
      const whole = await this.read((client, pages) => pages.whole(client, window));
      if (whole !== undefined) return this.close(window, whole);
    }
    const behind = hasBegun(window)
      ? window
      : { sequence: await this.read((client, pages) => pages.beforeFirst(client, window)), id: '' };
    const page = await this.read((client, pages) => pages.after(client, window, behind));
    if (page.isLast) return this.close(window, page);
    this.token = { ...window, sequence: page.lastSequence, id: page.lastId };
    return this.tailed(page, window, this.token);
  }

  /** The window's last rows: behind them comes the next window. */
  private close(window: Window, page: EventPage): TailedEvent[] {
    this.token = { from: window.to, to: undefined, sequence: 0n, id: '' };
    return this.tailed(page, window, this.token);
  }

  private tailed(page: EventPage, window: Window, last: TailToken): TailedEvent[] {
    this.unreadable!.note(page);
    return this.windows!.eventsIn(page).map((event, i) => {
      const token = i === page.count - 1 ? last : { ...window, sequence: page.sequences[i]!, id: event.id };
      return { event, token: tokenText(token) };
    });
  }

  /** From the last window's end to now; false if nothing has ended since. */
  private async openWindow(): Promise<boolean> {
    const to = await this.read((client, pages) => pages.now(client));
    const { from } = this.token;
    if (to === from) return false;
    if (snapshotOf(to).xmax < snapshotOf(from).xmax) {
      const reason = 'is ahead of this database: the token is of another one, or this one was restored';
      throw new TrunklineError('InvalidOptions', { option: 'from', reason });
    }
    this.token = { from, to, sequence: 0n, id: '' };
    return true;
  }

  private async read<T>(work: (client: pg.Client, pages: TailPages) => Promise<T>): Promise<T> {
    this.client ??= await this.connect();
    this.windows ??= await this.newPages();
    return work(this.client, this.windows);
  }

  /** With the client library: see doors.ts. */
  private async newPages(): Promise<TailPages> {
    const [{ TailPages }, { UnreadableRows, warnOf }] = await Promise.all([
      import('./tail-pages.ts'),
      import('../rows/unreadable.ts'),
    ]);
    const { onError } = this.settings;
    this.unreadable ??= new UnreadableRows(onError === undefined ? warnOf : guarded(onError));
    return new TailPages(quotedName(this.schemaName), this.settings.pageSize, () => this.disconnect());
  }

  private async connect(): Promise<pg.Client> {
    const use = { name: 'trunkline tail', timeoutMs: statementTimeoutMs };
    const { openClient } = await import('../session/server-session.ts'); // with the client library: see doors.ts
    const client = await openClient(this.settings.connection, use, this.settings.signal);
    try {
      await (await import('../schema/recent-ownership.ts')).checkOwnershipOfSession(client, this.schemaName);
      await this.checkServer(client);
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
    return client;
  }

  private async checkServer(client: pg.Client): Promise<void> {
    const { serverStatement } = await import('./tail-sql.ts'); // with the client library: see doors.ts
    const server = await serverStatement(quotedName(this.schemaName)).one(client, {});
    const schema = this.schemaName;
    if (server.is_standby) {
      // There a snapshot does not say which transactions are open: pg_current_snapshot() lists none.
      const reason = 'names a standby server, which cannot tell which transactions are open; name the primary';
      throw new TrunklineError('InvalidOptions', { option: 'connection', reason });
    }
    if (server.is_restored) {
      const reason =
        'it has events of transactions that this server has yet to begin, so it comes from a dump: ' +
        'set their transaction_id to pg_catalog.pg_current_xact_id()';
      throw new TrunklineError('StoreSchemaMismatch', { schema, reason });
    }
  }

  /** Again, on another connection, while the server does not serve, or something holds us up there. */
  private async attempt<T>(work: () => Promise<T>): Promise<T> {
    const { signal, onError } = this.settings;
    for (;;) {
      const { token } = this;
      try {
        const result = await work();
        this.failures = 0;
        return result;
      } catch (error) {
        this.disconnect();
        signal.throwIfAborted();
        const failed = failure(error, this.schemaName);
        if (!mayPass(error)) throw failed;
        this.token = token;
        if (onError !== undefined) guarded(onError)(failed);
        await pauseUnless(signal, jittered(backoffMs(++this.failures, pauses)));
        signal.throwIfAborted();
      }
    }
  }

  private disconnect(): void {
    this.client?.end().catch(() => {});
    this.client = undefined;
  }
}
