// Effects that happen once for a key, however often they are asked for: an inbox row in the effect's own transaction.
import { AsyncLocalStorage } from 'node:async_hooks';
import { TrunklineError } from '../errors.ts';
import { unawaited } from '../guarded.ts';
import { textOf, toPlain } from '../payload.ts';
import type { EffectTransaction } from './effect-transaction.ts';
import { Effects } from './effects.ts';
import type { Change } from './table-store.ts';
import { checkKey, type Tables } from './tables.ts';

const inboxTable = 'inbox';
/** When each row came: milliseconds, 0, key. */
const ageTable = 'inbox-ages';
const conflictLimit = 100;
/** Rows are removed in pages, twice as many as have come since: so a backlog shrinks, too. */
const trimPage = 1000;
const trimAfterRows = 200;
const trimAfterMs = 60_000;

/** An effect that runs, and the one within which it was asked for. */
interface Running {
  readonly key: string;
  readonly outer: Running | undefined;
  /** The running effects of other calls that it waits for. */
  readonly waitsFor: Set<Running>;
}

interface InboxRow {
  value?: unknown;
}

export class Inbox {
  private readonly tables: Tables;
  private readonly underWay = new Map<string, { running: Running; outcome: Promise<string> }>();
  private readonly within = new AsyncLocalStorage<Running>();
  private readonly ttlMs: number;
  private readonly keyClock: () => number;
  private trimmedAt = 0;
  /** Rows that have come since the last trim. */
  private added = 0;
  private isTrimming = false;

  /** Rows are kept for `ttlMs` of `keyClock`, see `Levels.keyClock`. */
  constructor(tables: Tables, ttlMs: number, keyClock: () => number) {
    this.tables = tables;
    this.keyClock = keyClock;
    this.ttlMs = ttlMs;
  }

  /**
   * What `effect` returned, now or the first time, a copy for each caller; its changes and the row are durable then.
   * @throws WaitTimedOut
   */
  async once<T>(key: string, effect: (tx: EffectTransaction) => Promise<T> | T): Promise<T> {
    return (JSON.parse(await this.rowOf(key, effect)) as InboxRow).value as T;
  }

  private async rowOf(key: string, effect: (tx: EffectTransaction) => unknown): Promise<string> {
    checkKey('effect key', key);
    const outer = this.within.getStore();
    const same = this.underWay.get(key);
    if (same !== undefined) return this.shared(key, outer, same.running, same.outcome);
    const running: Running = { key, outer, waitsFor: new Set() };
    const outcome = this.within.run(running, () => this.run(key, effect));
    this.underWay.set(key, { running, outcome });
    try {
      return await outcome;
    } finally {
      this.underWay.delete(key);
    }
  }

  /** The outcome of an effect that runs for another call, unless that one waits for this call. */
  private async shared(
    key: string,
    outer: Running | undefined,
    running: Running,
    outcome: Promise<string>,
  ): Promise<string> {
    if (outer === undefined) return outcome;
    if (this.waitsFor(running, outer)) throw new TrunklineError('OnceCycle', { key, within: outer.key });
    outer.waitsFor.add(running);
    try {
      return await outcome;
    } finally {
      outer.waitsFor.delete(running);
    }
  }

  /** Whether `one` can end only after `other`: it is that, or waits for it, by whatever it has begun or joined. */
  private waitsFor(one: Running, other: Running): boolean {
    const seen = new Set<Running>();
    const open = [one];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      for (let above: Running | undefined = other; above !== undefined; above = above.outer)
        if (above === next) return true;
      open.push(...next.waitsFor);
      for (const { running } of this.underWay.values()) if (running.outer === next) open.push(running);
    }
    return false;
  }

  /** The row as JSON text. */
  private async run(key: string, effect: (tx: EffectTransaction) => unknown): Promise<string> {
    const before = await this.tables.json(inboxTable, key);
    if (before !== undefined) {
      await this.kept(key);
      return before;
    }
    const rowChange = (json: string): Change => ({ table: inboxTable, key, json });
    for (let i = 0; i < conflictLimit; i++) {
      const effects = new Effects(this.tables, rowChange('{}'), Number.POSITIVE_INFINITY);
      try {
        const result = await effect(effects);
        const value = result === undefined ? undefined : toPlain(result, 'result');
        const row = textOf({ value } satisfies InboxRow);
        const age = `${String(Math.floor(this.keyClock())).padStart(16, '0')}\0${key}`;
        const changes = [rowChange(row), { table: ageTable, key: age, json: 'true' }];
        if (!(await effects.commit(changes))) {
          if (!effects.stage()) continue;
          for (const { table, key, json } of changes) this.tables.stageJson(table, key, json);
          await this.kept(key);
        } else if (effects.haveHappened) return this.result(key);
        this.added++;
        unawaited(this.trim(), () => {}); // another time, then
        return row;
      } catch (error) {
        if (effects.haveHappened) return await this.result(key);
        throw error;
      } finally {
        effects.close();
      }
    }
    throw new TrunklineError('HandlerFailed', { handler: key, cause: 'what it read went on changing under it' });
  }

  private kept(key: string): Promise<void> {
    return this.tables.inTime(`the effect of '${key}'`, this.tables.durable());
  }

  /** Of the one who has come first. */
  private async result(key: string): Promise<string> {
    return (await this.tables.json(inboxTable, key)) ?? '{}';
  }

  private async trim(): Promise<void> {
    const now = Math.floor(this.keyClock());
    const isDue = this.added >= trimAfterRows || now - this.trimmedAt >= trimAfterMs;
    if (!isDue || this.isTrimming) return;
    this.isTrimming = true;
    let left = Math.max(trimPage, 2 * this.added);
    this.trimmedAt = now;
    this.added = 0;
    try {
      const end = String(Math.max(0, now - this.ttlMs)).padStart(16, '0');
      for (let found = trimPage; left > 0 && found === trimPage; left -= found) {
        const expired = await this.tables.range(ageTable, { end, limit: trimPage });
        found = expired.length;
        for (const { key } of expired) {
          this.tables.stage(ageTable, key, undefined);
          this.tables.stage(inboxTable, key.slice(key.indexOf('\0') + 1), undefined);
        }
        if (found === trimPage) await this.tables.durable(); // what is staged is read through by every range
      }
    } finally {
      this.isTrimming = false;
    }
  }
}
