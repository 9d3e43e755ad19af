// Entries of the handlers' tables that cannot be understood: no JSON, nested too deep, or a field that is missing. Who reads a
// list leaves them out and goes on; each is named once, and counted, and stays as it is. Host thread.
import { asError } from '../base/errors.ts';
import { keptJson } from '../base/json.ts';

/** Keys that are remembered, so that an entry that is read again is not reported again. */
const rememberedMost = 10_000;

/** `broken`: how many there were in this run. */
export type OnBroken = (entry: { table: string; key: string; broken: number }, error: Error) => void;

export class BrokenRecords {
  count = 0;
  private readonly reported = new Set<string>();
  private readonly report: OnBroken;

  constructor(report: OnBroken = () => {}) {
    this.report = report;
  }

  /** undefined: it is broken. */
  parse(table: string, key: string, json: string): unknown {
    try {
      return keptJson(json);
    } catch (error) {
      this.note(table, key, error);
      return undefined;
    }
  }

  note(table: string, key: string, error: unknown): void {
    const full = `${table}\0${key}`;
    if (this.reported.has(full)) return;
    if (this.reported.size >= rememberedMost) this.reported.clear();
    this.reported.add(full);
    this.report({ table, key, broken: ++this.count }, asError(error));
  }
}
