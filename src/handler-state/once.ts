// Effects that happen once for a key, however often they are asked for: an inbox row in the effect's own transaction.

import { TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { anything, checkedJson, number, object, optional } from '../base/json.ts';
import { awaitedOutside } from '../base/refusable-call.ts';
import { type Awaited, caller, type Running, RunningCode } from '../base/running.ts';
import { promised } from '../base/thenable.ts';
import { textOf, toPlain } from '../wire/payload.ts';
import { earlierEffectKey } from './effect-key.ts';
import type { EffectTransaction } from './effect-transaction.ts';
import { Effects } from './effects.ts';
import type { StateTables } from './handler-state.ts';
import type { Change } from './handler-state-store.ts';
import { checkKey } from './state-key.ts';

const inboxTable = 'inbox';
/** When each row came: milliseconds, 0, key. */
const ageTable = 'inbox-ages';
const conflictLimit = 100;
/** Rows are removed in pages, twice as many as have come since: so a backlog shrinks, too. */
const trimPage = 1000;
const trimAfterRows = 200;
const trimAfterMs = 60_000;

interface InboxRow {
  /** What the effect has returned. */
  value?: any;
  /** 2: noted since keys of deliveries have a hash. Missing: by 0.1, or as long ago. */
  form?: number | undefined;
}

const inboxRow = object<InboxRow>({ value: anything, form: optional(number) });

interface UnderWay {
  readonly running: Running;
  readonly outcome: Promise<string>;
  /** Of the attempt that runs. */
  effects?: Effects;
}

export class Inbox implements Awaited {
  private readonly handlerState: StateTables;
  private readonly underWay = new Map<string, UnderWay>();
  private readonly effects = new RunningCode();
  private readonly ttlMs: number;
  private readonly keyClock: () => number;
  private trimmedAt = 0;
  /** Rows that have come since the last trim. */
  private added = 0;
  private isTrimming = false;

  /** Rows are kept for `ttlMs` of `keyClock`, see `ControlBlock.keyClock`. */
  constructor(handlerState: StateTables, ttlMs: number, keyClock: () => number) {
    this.handlerState = handlerState;
    this.keyClock = keyClock;
    this.ttlMs = ttlMs;
  }

  /**
   * What `effect` returned, now or the first time, a copy for each caller; its changes and the row are durable then.
   * @throws WaitTimedOut
   */
  once<T>(key: string, effect: (tx: EffectTransaction) => Promise<T> | T): Promise<T> {
    return promised(() => this.rowOf(key, effect)).then(
      (row): T => checkedJson(row, inboxRow, `the outcome of '${key}'`).value,
    );
  }

  private rowOf(key: string, effect: (tx: EffectTransaction) => unknown): Promise<string> {
    checkKey('effect key', key);
    const same = this.underWay.get(key);
    if (same === undefined) return this.begin(key, effect);
    return awaitedOutside(same.running, (from, chain) => this.refusal(key, from, chain), same.outcome);
  }

  private async begin(key: string, effect: (tx: EffectTransaction) => unknown): Promise<string> {
    const running = this.effects.begin(`the effect of '${key}'`, caller());
    const outcome = running.run(() => this.run(key, effect));
    this.underWay.set(key, { running, outcome });
    try {
      return await outcome;
    } finally {
      this.underWay.delete(key);
      running.end();
    }
  }

  /** Effects that the end of the tables waits for. */
  *running(): Iterable<Running> {
    for (const { running, effects } of this.underWay.values()) if (effects?.holdsTransaction) yield running;
  }

  /** An effect that runs for another call is not awaited by one that it waits for. */
  private refusal(key: string, from: Running, chain: string[]): Error {
    const within = [...this.underWay].find(([, one]) => one.running === from)?.[0];
    if (within !== undefined) return new TrunklineError('OnceCycle', { key, within });
    return new TrunklineError('WaitsForItself', { call: `once('${key}')`, within: from.what, chain });
  }

  /** The row as JSON text. */
  private async run(key: string, effect: (tx: EffectTransaction) => unknown): Promise<string> {
    const before = await this.before(key);
    if (before !== undefined) {
      await this.kept(key);
      return before;
    }
    const rowChange = (json: string): Change => ({ table: inboxTable, key, json });
    for (let i = 0; i < conflictLimit; i++) {
      const effects = new Effects(this.handlerState, rowChange('{}'), Number.POSITIVE_INFINITY);
      this.underWay.get(key)!.effects = effects;
      try {
        const result = await effect(effects);
        const value = result === undefined ? undefined : toPlain(result, 'result');
        const row = textOf({ value, form: 2 } satisfies InboxRow);
        const age = `${String(Math.floor(this.keyClock())).padStart(16, '0')}\0${key}`;
        const changes = [rowChange(row), { table: ageTable, key: age, json: 'true' }];
        if (!(await effects.commit(changes))) {
          if (!effects.stage()) continue;
          for (const { table, key, json } of changes) this.handlerState.stageJson(table, key, json);
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

  /**
   * What it returned the first time; also by the key that 0.1 gave the same event, if 0.1 has noted it: by now such a key is another
   * caller's own, and says nothing of the event.
   */
  private async before(key: string): Promise<string | undefined> {
    const row = await this.handlerState.json(inboxTable, key);
    const earlierKey = row === undefined ? earlierEffectKey(key) : undefined;
    if (earlierKey === undefined) return row;
    const earlier = await this.handlerState.json(inboxTable, earlierKey);
    if (earlier === undefined) return undefined;
    return checkedJson(earlier, inboxRow, `the outcome of '${earlierKey}'`).form === undefined ? earlier : undefined;
  }

  private kept(key: string): Promise<void> {
    return this.handlerState.inTime(`the effect of '${key}'`, this.handlerState.durable());
  }

  /** Of the one who has come first. */
  private async result(key: string): Promise<string> {
    return (await this.handlerState.json(inboxTable, key)) ?? '{}';
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
        const expired = await this.handlerState.range(ageTable, { end, limit: trimPage });
        found = expired.length;
        for (const { key } of expired) {
          this.handlerState.stage(ageTable, key, undefined);
          this.handlerState.stage(inboxTable, key.slice(key.indexOf('\0') + 1), undefined);
        }
        if (found === trimPage) await this.handlerState.durable(); // what is staged is read through by every range
      }
    } finally {
      this.isTrimming = false;
    }
  }
}
