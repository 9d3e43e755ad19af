// Effects of one attempt, gathered in memory: read through to the tables, staged only together with the completion of what
// caused them. Owned by the caller's thread.
//
// Invariant: what was read has not changed when the effects are staged; if it has, another attempt decides anew. So two
// handlers side by side never lose one another's change.
import { TrunklineError } from '../errors.ts';
import { toPlain } from '../payload.ts';
import type { EffectTransaction } from './handlers.ts';
import { checkKey, type Tables } from './tables.ts';

/** User tables are kept apart from ours. */
export const effectTable = (name: string): string => `effects:${name}`;

/** @throws InvalidId */
export function checkTable(name: string): void {
  const length = typeof name === 'string' ? Buffer.byteLength(name) : 0;
  if (length < 1 || length > 100 || name.includes('\0')) {
    throw new TrunklineError('InvalidId', { what: 'table name', length, limit: 100 });
  }
}

interface Effect {
  table: string;
  key: string;
  value: unknown;
}

export class Effects implements EffectTransaction {
  private readonly tables: Tables;
  private readonly seen = new Map<string, Effect>();
  private readonly changes = new Map<string, Effect>();
  private since: number | undefined;
  private isClosed = false;

  constructor(tables: Tables) {
    this.tables = tables;
  }

  async get<T>(table: string, key: string): Promise<T | undefined> {
    const full = this.check(table, key);
    const changed = this.changes.get(full);
    if (changed !== undefined) return changed.value as T | undefined;
    const known = this.seen.get(full);
    if (known !== undefined) return known.value as T | undefined;
    this.since ??= this.tables.beginReading();
    const value = await this.tables.get(effectTable(table), key);
    this.seen.set(full, { table, key, value });
    return value as T | undefined;
  }

  put(table: string, key: string, value: unknown): void {
    this.changes.set(this.check(table, key), { table, key, value: toPlain(value, 'value') });
  }

  remove(table: string, key: string): void {
    this.changes.set(this.check(table, key), { table, key, value: undefined });
  }

  /** Stage what was changed, at once; false, with nothing staged, if what was read has changed since. */
  stage(): boolean {
    const { tables } = this;
    const isCurrent = [...this.seen.values()].every(
      ({ table, key }) => !tables.changedSince(this.since, effectTable(table), key),
    );
    if (isCurrent)
      for (const { table, key, value } of this.changes.values()) tables.stage(effectTable(table), key, value);
    return isCurrent;
  }

  /** What comes now comes too late. */
  close(): void {
    if (this.since !== undefined) this.tables.endReading();
    this.since = undefined;
    this.isClosed = true;
    this.changes.clear();
    this.seen.clear();
  }

  private check(table: string, key: string): string {
    if (this.isClosed) throw new Error('this attempt has ended: await what it starts before it returns');
    checkTable(table);
    checkKey('key', key);
    return `${table}\0${key}`;
  }
}
