// `runtime.effects`: what happens once for a key, and the tables that effects have written. Owned by the host thread.

import { promised } from '../base/thenable.ts';
import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import type { RangeOptions } from '../subscriptions/reading-options.ts';
import type { Carried } from '../wire/carried.ts';
import type { HandlerStage } from './handlers-stage.ts';

/** Effects and their tables; see `runtime.effects`. */
export class EffectTables {
  private readonly stage: HandlerStage;

  /** @internal */
  constructor(stage: HandlerStage) {
    this.stage = stage;
  }

  /**
   * Run an effect once for a key (a delivery's `effectKey`), however often it is asked for: its changes and the key are
   * committed together, and its result is remembered for seven days, as JSON carries it. Resolves when that is on disk.
   *
   * ```ts
   * await runtime.effects.once(`invoice ${id}`, (tx) => tx.put('invoices', id, { total }));
   * ```
   * @throws InvalidOptions, OnceCycle, RuntimeClosed, what the effect throws (as rejections)
   */
  once<T>(effectKey: string, effect: (tx: EffectTransaction) => Promise<T> | T): Promise<Carried<T>> {
    return promised(() => this.stage.open.once(effectKey, effect)) as Promise<Carried<T>>;
  }

  /** What an effect has put into a table; undefined if there is nothing under that key. */
  async get(table: string, key: string): Promise<unknown> {
    return this.stage.open.effect(table, key);
  }

  /** What effects have put into a table, in the order of the keys' bytes: from `start` on, before `end`. */
  async range(table: string, range: RangeOptions = {}): Promise<{ key: string; value: unknown }[]> {
    return this.stage.open.effects(table, range);
  }
}
