// Where subscriptions of this log have begun, beside checkpoints that lie in a database. If that comes back from a state in
// which a subscription had not begun yet, `from: 'now'` would mean a later now, and what lies between would be skipped in
// silence: it begins again where it began. One line for each subscription that did not begin at the start.
import { dirname, join } from 'node:path';
import { writeFileDurably } from '../base/durable-file.ts';
import { TrunklineError } from '../base/errors.ts';
import { NOTE_BYTES_LIMIT, parseFields, readText } from '../base/foreign-file.ts';
import { makePrivateFolder } from '../base/private-file.ts';

interface Kept {
  logId: string;
  /** The position before the first one that each has taken. */
  lows: [name: string, low: number][];
}

const namesMost = 10_000; // then the oldest go
const beginningsBytesLimit = 8 * NOTE_BYTES_LIMIT; // names have 100 bytes at most

const isLow = (kept: unknown): kept is [name: string, low: number] =>
  Array.isArray(kept) && typeof kept[0] === 'string' && Number.isSafeInteger(kept[1]);

/** Where they are kept, in the handlers' folder. */
export const beginningsFile = (handlersFolder: string): string => join(handlersFolder, 'begun.json');

export class Beginnings {
  private readonly file: string;
  private readonly logId: string;
  private isClosed = false;

  constructor(file: string, logId: string) {
    this.file = file;
    this.logId = logId;
  }

  lowOf(name: string): number | undefined {
    return this.read().get(name);
  }

  /** Durable when it returns. */
  note(name: string, low: number): void {
    const lows = this.read();
    lows.delete(name);
    lows.set(name, low);
    this.write(lows);
  }

  /** They may begin again, elsewhere. */
  forget(names: readonly string[]): void {
    const lows = this.read();
    const count = lows.size;
    for (const name of names) lows.delete(name);
    if (lows.size < count) this.write(lows);
  }

  /** Another runtime may have the file now: nothing is written from now on. */
  close(): void {
    this.isClosed = true;
  }

  /** @throws RuntimeClosed */
  private write(lows: ReadonlyMap<string, number>): void {
    if (this.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
    const kept: Kept = { logId: this.logId, lows: [...lows].slice(-namesMost) };
    makePrivateFolder(dirname(this.file));
    writeFileDurably(this.file, JSON.stringify(kept));
  }

  /** What cannot be understood counts for nothing: it is needed only where the database has lost what it knew. */
  private read(): Map<string, number> {
    try {
      const { logId, lows } = parseFields(readText(this.file, beginningsBytesLimit) ?? '');
      return new Map(logId === this.logId && Array.isArray(lows) ? lows.filter(isLow) : []);
    } catch {
      return new Map();
    }
  }
}
