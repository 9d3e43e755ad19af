// Effects of one attempt. Those in our tables are gathered in memory: read through to the tables, staged only together with
// the completion of what caused them. Or a transaction in the store, with an entry in it that says that they have happened.
// Owned by the host thread.
//
// Invariant: what was read has not changed when the effects are staged; if it has, another attempt decides again. So two
// handlers side by side never lose one another's change. What is read and put is held as JSON text: what an attempt changes in
// an object that it was given counts only if it puts it, and a failed attempt leaves nothing.

import { checkId } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { userJson } from '../base/json.ts';
import { isStoreAway } from '../base/store-away.ts';
import { textOf, toPlain } from '../wire/payload.ts';
import type { EffectTransaction, SqlClient } from './effect-transaction.ts';
import type { StateTables } from './handler-state.ts';
import type { Change, OwnTransaction } from './handler-state-store.ts';
import { checkKey } from './state-key.ts';

/** User tables are kept apart from ours. */
export const effectTable = (name: string): string => `effects:${name}`;

/** @throws InvalidId */
export function checkTable(name: string): void {
  checkId('table name', name, 100);
}

interface Effect {
  table: string;
  key: string;
  json: string | undefined;
}

export class Effects implements EffectTransaction {
  private readonly handlerState: StateTables;
  /** What a transaction is begun with; undefined: it is thrown away in the end. */
  private readonly entry: Change | undefined;
  /** How long its owner may take, milliseconds; Infinity: without end. */
  private readonly longestMs: number;
  private readonly seen = new Map<string, Effect>();
  private readonly changes = new Map<string, Effect>();
  private since: number | undefined;
  private isClosed = false;
  private beginning: Promise<OwnTransaction> | undefined;
  private transaction: OwnTransaction | undefined;
  /** They had happened before: their transaction finds its entry. */
  haveHappened = false;
  private onCommitted: () => void = () => {};
  /** Of a transaction in which only statements of ours are executed. */
  private onHeldUp: ((error: unknown) => void) | undefined;
  private hasMissedStore = false;
  couldNotBegin = false;

  constructor(handlerState: StateTables, entry: Change | undefined, longestMs: number) {
    this.handlerState = handlerState;
    this.entry = entry;
    this.longestMs = longestMs;
  }

  async get<T>(table: string, key: string): Promise<T | undefined> {
    const full = this.check(table, key);
    const changed = this.changes.get(full);
    if (changed !== undefined) return parsed(changed) as T | undefined;
    const known = this.seen.get(full);
    if (known !== undefined) return parsed(known) as T | undefined;
    this.since ??= this.handlerState.beginReading();
    const json = await this.noticing(async () => this.handlerState.json(effectTable(table), key));
    const read: Effect = { table, key, json };
    this.seen.set(full, read);
    return parsed(read) as T | undefined;
  }

  /** Whether the place where it is kept cannot be closed before this has ended. */
  get holdsTransaction(): boolean {
    return this.beginning !== undefined && !this.isClosed;
  }

  put(table: string, key: string, value: unknown): void {
    this.change({ table, key, json: textOf(toPlain(value, 'value')) });
  }

  remove(table: string, key: string): void {
    this.change({ table, key, json: undefined });
  }

  async client(): Promise<SqlClient> {
    this.checkOpen();
    if (this.changes.size > 0) throw mixed();
    if (this.beginning === undefined) {
      this.beginning = this.begin();
      this.beginning.catch(() => {}); // the handler and the commit learn it
    }
    return (await this.beginning).client as SqlClient;
  }

  /**
   * The same, for statements of ours alone: what holds the transaction up is given to `onHeldUp`, and never counts against the
   * events that it carries.
   */
  ownClient(onHeldUp: (error: unknown) => void): Promise<SqlClient> {
    this.onHeldUp = onHeldUp;
    return this.client();
  }

  /** Called once the transaction has been committed. */
  afterCommit(onCommitted: () => void): void {
    this.onCommitted = onCommitted;
  }

  /** Whether an attempt that failed has done so because the store is unavailable. */
  hasMissed(error: unknown): boolean {
    return this.hasMissedStore || this.transaction?.isLost === true || isStoreAway(error);
  }

  /** Whether the handler can have no part in that: no statement of its own has been executed. */
  isHeldUp(error: unknown): boolean {
    this.onHeldUp?.(error);
    return this.couldNotBegin || this.onHeldUp !== undefined;
  }

  /**
   * Commit the transaction, if there is one; then there is nothing to be staged.
   * @throws TransactionRolledBack, StoreUnavailable, what the server says
   */
  async commit(changes: readonly Change[] = []): Promise<boolean> {
    if (this.haveHappened) return true;
    if (this.beginning === undefined) return false;
    await (await this.beginning).commit(changes);
    this.onCommitted();
    return true;
  }

  /** Stage what was changed, at once; false, with nothing staged, if what was read has changed since. */
  stage(): boolean {
    const { handlerState } = this;
    const isCurrent = [...this.seen.values()].every(
      ({ table, key }) => !handlerState.changedSince(this.since, effectTable(table), key),
    );
    if (isCurrent)
      for (const { table, key, json } of this.changes.values()) handlerState.stageJson(effectTable(table), key, json);
    return isCurrent;
  }

  /** What comes now comes too late. */
  close(): void {
    if (this.since !== undefined) this.handlerState.endReading(this.since);
    this.since = undefined;
    this.isClosed = true;
    this.changes.clear();
    this.seen.clear();
    this.transaction?.rollback();
  }

  private async begin(): Promise<OwnTransaction> {
    this.couldNotBegin = true;
    const begun = await this.noticing(() =>
      this.handlerState.begin(this.entry, this.longestMs, this.onHeldUp !== undefined),
    );
    this.couldNotBegin = false;
    if (begun === 'taken') {
      this.haveHappened = true;
      throw new Error('these effects have happened before');
    }
    this.transaction = begun;
    if (!this.isClosed) return begun;
    begun.rollback();
    throw ended();
  }

  private async noticing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isStoreAway(error)) this.hasMissedStore = true;
      throw error;
    }
  }

  private change(effect: Effect): void {
    const full = this.check(effect.table, effect.key);
    if (this.beginning !== undefined) throw mixed();
    this.changes.set(full, effect);
  }

  private check(table: string, key: string): string {
    this.checkOpen();
    checkTable(table);
    checkKey('key', key);
    return `${table}\0${key}`;
  }

  private checkOpen(): void {
    if (this.isClosed) throw ended();
  }
}

const parsed = ({ json }: Effect): unknown => (json === undefined ? undefined : userJson(json));

const ended = (): Error => new Error('this attempt has ended: await what it starts before it returns');

const mixed = (): TrunklineError =>
  new TrunklineError('InvalidOptions', {
    option: 'tx',
    reason: 'put and remove go into our own tables, client() into yours: an attempt uses the one or the other',
  });
