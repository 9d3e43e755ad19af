// PostgreSQL as a shard loads from it: one aggregate at a time, over a connection of the shard's own that is opened when it
// is first needed.
//
// Invariants: a load takes over what another log owned before it reads events, so that what has been read is all that the other log
// will ever have stored; a look takes nothing, so it shows whether this release can read it at all; a load that waits for a lock of others lets further loads pass (held-loads.ts).
import pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import type { RemoteAggregate, RemoteReader } from '../../../store/store.ts';
import { copyEvents } from '../rows/pages.ts';
import type { EventFrames } from '../rows/rows.ts';
import { refuseUnreadable } from '../rows/unreadable.ts';
import { checkSchema, Session } from '../schema/session.ts';
import { isAway, storeName } from '../session/failure.ts';
import { endFrozenFlushes, isLockTimeout } from '../session/frozen.ts';
import { patienceMs } from '../session/frozen-sql.ts';
import { type Guard, guard } from '../session/guard.ts';
import { PageSize } from '../session/page-size.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { beginSql, lockTimeoutMs } from '../session/session-sql.ts';
import { isServerError } from '../session/sqlstate.ts';
import {
  behindVersion,
  byVersion,
  claimStatement,
  countStatement,
  type HeadRow,
  headStatement,
} from './aggregate-sql.ts';
import { HeldLoads, shortTryMs } from './held-loads.ts';

const claimAttempts = 10;
const eventsPerPage = 1_000_000;

interface Wanted {
  readonly type: string;
  readonly id: string;
  readonly fingerprint: string;
  readonly after: number;
  readonly at: number;
}

export class PostgresAggregateReader implements RemoteReader {
  private readonly settings: PostgresSettings;
  private readonly logId: string;
  private readonly schema: string;
  private readonly guard: Guard;
  private readonly pages = new PageSize(eventsPerPage);
  private session: Session | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private readonly held = new HeldLoads();
  /** When flushes that stand still were looked for. */
  private lookedAt = Number.NEGATIVE_INFINITY;
  private readonly head: ReturnType<typeof headStatement>;
  private readonly claimed: ReturnType<typeof claimStatement>;

  constructor(settings: PostgresSettings, logId: string) {
    this.settings = settings;
    this.logId = logId;
    this.schema = pg.escapeIdentifier(settings.schema);
    this.guard = guard(settings.schema);
    this.head = headStatement(this.schema);
    this.claimed = claimStatement(this.schema);
  }

  owner(type: string, id: string): Promise<'nobody' | 'this log' | 'another'> {
    return this.run(async (client) => {
      const [head] = await this.head.run(client, { type, id });
      if (head === undefined) return 'nobody';
      return head.log_id === this.logId ? 'this log' : 'another';
    });
  }

  look(
    type: string,
    id: string,
    fingerprint: string,
    after: number,
  ): Promise<(RemoteAggregate & { isOwn: boolean }) | undefined> {
    return this.run(async (client) => {
      const [head] = await this.head.run(client, { type, id });
      if (head === undefined) return undefined;
      const found = await this.content(client, { type, id, fingerprint, after }, head);
      return { ...found, isOwn: head.log_id === this.logId };
    });
  }

  async load(
    type: string,
    id: string,
    fingerprint: string,
    after: number,
    at: number,
  ): Promise<RemoteAggregate | undefined> {
    const end = performance.now() + this.settings.loadTimeoutMs;
    const wanted = { type, id, fingerprint, after, at };
    let found = await this.loadOnce(wanted, shortTryMs);
    if (found === 'held') found = await this.held.wait((lockMs, begun) => this.loadOnce(wanted, lockMs, begun), end);
    if (found !== 'held') return found;
    const cause = `a transaction of others that stays open has locked ${type}/${id}, which another log has written`;
    throw new TrunklineError('StoreUnavailable', { store: storeName, cause });
  }

  /** `held`: others have had its head locked for `lockMs`. `begun`: called once its turn has come. */
  private loadOnce(
    wanted: Wanted,
    lockMs: number,
    begun: () => void = () => {},
  ): Promise<RemoteAggregate | undefined | 'held'> {
    return this.run(async (client) => {
      begun();
      const head = await this.ownHead(client, wanted, lockMs);
      return head === undefined || head === 'held' ? head : this.content(client, wanted, head);
    });
  }

  private async content(
    client: pg.Client,
    { type, id, fingerprint, after }: Omit<Wanted, 'at'>,
    head: HeadRow,
  ): Promise<RemoteAggregate> {
    const { version, snapshot_version, state } = head;
    const fits = state !== null && head.fingerprint === fingerprint && snapshot_version! > after;
    const snapshot = fits ? { version: snapshot_version!, fingerprint, stateJson: state } : undefined;
    const base = snapshot?.version ?? after;
    if (version <= base) return { version, snapshot, frames: Buffer.alloc(0), eventCount: 0 };
    const events = await this.page(client, behindVersion(this.schema, { type, id }, base, head), version - base);
    if (!events.isPart) checkWhole(type, id, base, version, events.count);
    return { version, snapshot, frames: events.frames, eventCount: events.count };
  }

  /** As many of `wanted` events as a page holds; fewer where these take longer than a statement may. */
  private page(client: pg.Client, from: string, wanted: number): Promise<EventFrames & { isPart: boolean }> {
    // A connection that the client's own clock has given up is good for no other try.
    const undo = (error: unknown): void => {
      if (!isServerError(error)) throw error;
    };
    const read = async (size: number): Promise<EventFrames & { isPart: boolean }> => {
      const events = await copyEvents(client, byVersion(from, size));
      if (events.isCut) this.session?.destroy();
      refuseUnreadable(events);
      return { ...events, isPart: events.isCut || (events.rows === size && size < wanted) };
    };
    return this.pages.page('an event of an aggregate', read, undo, wanted);
  }

  async close(): Promise<void> {
    await this.turn;
    await this.session?.close();
  }

  /** Its head, this log's from now on; `held`: others have locked it. */
  private async ownHead(
    client: pg.Client,
    { type, id, fingerprint, after, at }: Wanted,
    lockMs: number,
  ): Promise<HeadRow | undefined | 'held'> {
    for (let attempt = 0; attempt < claimAttempts; attempt++) {
      const [head] = await this.head.run(client, { type, id });
      if (head === undefined || head.log_id === this.logId) return head;
      // What cannot be loaded fences no log.
      const base = Math.max(after, head.fingerprint === fingerprint ? head.snapshot_version! : 0);
      const from = behindVersion(this.schema, { type, id }, base, head);
      const { count } = await countStatement(from).one(client, {});
      checkWhole(type, id, base, head.version, count);
      const { epoch } = head;
      if (!(await this.claim(client, { type, id, epoch, position: at }, lockMs))) return 'held';
    }
    throw new Error(`${type}/${id} is being taken over by several logs at once`);
  }

  /** Durably, and without waiting for a flush that stands still; false: others have locked it. */
  private async claim(
    client: pg.Client,
    key: { type: string; id: string; epoch: string; position: number },
    lockMs: number,
  ): Promise<boolean> {
    const waitMs = Math.min(lockMs, lockTimeoutMs(this.settings.loadTimeoutMs));
    await client.query(beginSql(`lock_timeout = ${waitMs}`));
    try {
      await this.claimed.count(client, { ...key, logId: this.logId });
      await client.query('commit');
      return true;
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      if (!isLockTimeout(error)) throw error;
      const now = performance.now();
      if (now - this.lookedAt < patienceMs) return false;
      this.lookedAt = now;
      await endFrozenFlushes(client, this.schema);
      return false;
    }
  }

  /** One after the other; once the guard has shut, those that wait get the error at once. */
  private run<T>(read: (client: pg.Client) => Promise<T>): Promise<T> {
    const result = this.turn.then(() => this.guard(() => this.attemptTwice(read)));
    this.turn = result.catch(() => {});
    return result;
  }

  private async attemptTwice<T>(read: (client: pg.Client) => Promise<T>): Promise<T> {
    const known = this.session;
    try {
      return await this.attempt(read);
    } catch (error) {
      // A connection that was lost unnoticed: the thread may have been asleep for long.
      if (known === undefined || this.session === known || !isAway(error)) throw error;
      return await this.attempt(read);
    }
  }

  private async attempt<T>(read: (client: pg.Client) => Promise<T>): Promise<T> {
    if (this.session?.isBroken) this.session = undefined;
    const session = this.session ?? (await this.open());
    try {
      return await read(session.client);
    } catch (error) {
      session.failed(error);
      if (session.isBroken && this.session === session) this.session = undefined;
      throw error;
    }
  }

  private async open(): Promise<Session> {
    const { connection, schema, loadTimeoutMs: timeoutMs } = this.settings;
    const session = await Session.open({ connection, schema, timeoutMs, name: 'trunkline load' });
    try {
      await checkSchema(session.client, schema);
    } catch (error) {
      session.destroy();
      throw error;
    }
    this.session = session;
    return session;
  }
}

/** Months may have been dropped with events that no snapshot stands for. @throws VersionGap */
function checkWhole(aggregateType: string, aggregateId: string, after: number, last: number, found: number): void {
  if (found >= last - after) return;
  const details = { aggregateType, aggregateId, expectedVersion: after + 1, foundVersion: last - found + 1 };
  throw new TrunklineError('VersionGap', details);
}
