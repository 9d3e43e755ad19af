// Which messages of the last run have an outcome in the log, and where: some 40 bytes for each, outside of the heap, since a
// log of gigabytes may hold millions. A hash table with open addressing, in typed arrays. Host thread.
import type { WireError } from '../base/wire-error.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { outcomeOrFault } from '../model/receipt.ts';

const wordsPerId = 4;
const capacityLeast = 1 << 10;
/** Instead of a position: the entry has been removed; later ones of its run are found past it. */
const removed = 0.5;

export type CarriedOut = Pick<Outcomes, 'has' | 'get' | 'delete' | 'size' | 'positionOf'>;

export class Outcomes {
  private readonly log: LogSource;
  private ids = new Uint32Array(capacityLeast * wordsPerId);
  /** 0: free. Negative: with an error, by which its target refused it. */
  private positions = new Float64Array(capacityLeast);
  /** Entries, removed ones included. */
  private used = 0;
  size = 0;
  private readonly wanted = new Uint32Array(wordsPerId);

  constructor(log: LogSource) {
    this.log = log;
  }

  has(id: string): boolean {
    return this.size > 0 && this.find(id) >= 0;
  }

  /** Where it stands; undefined: there is none. */
  positionOf(id: string): number | undefined {
    const at = this.size > 0 ? this.find(id) : -1;
    return at < 0 ? undefined : Math.abs(this.positions[at]!);
  }

  /** The error by which its target refused it, if it did. */
  get(id: string): WireError | undefined {
    const at = this.size > 0 ? this.find(id) : -1;
    const position = at < 0 ? 0 : -this.positions[at]!;
    if (position <= 0) return undefined;
    let error: WireError | undefined;
    eachFrame(this.log, position, position, (frame) => {
      error = outcomeOrFault(frame.dataJson).error;
    });
    return error;
  }

  set(id: string, position: number, hasError: boolean): void {
    if (this.used * 5 > this.positions.length * 3) this.grow();
    let at = this.find(id);
    if (at < 0) {
      at = -1 - at;
      this.ids.set(this.wanted, at * wordsPerId);
      this.used++;
      this.size++;
    }
    this.positions[at] = hasError ? -position : position;
  }

  delete(id: string): void {
    const at = this.size > 0 ? this.find(id) : -1;
    if (at < 0) return;
    this.positions[at] = removed;
    this.size--;
  }

  /** Where it is, or else -1 - where it would be. */
  private find(id: string): number {
    const { wanted, ids, positions } = this;
    wanted[0] = Number.parseInt(id.slice(0, 8), 16);
    wanted[1] = Number.parseInt(id.slice(9, 13) + id.slice(14, 18), 16);
    wanted[2] = Number.parseInt(id.slice(19, 23) + id.slice(24, 28), 16);
    wanted[3] = Number.parseInt(id.slice(28, 36), 16);
    const [a, b, c, d] = wanted as unknown as [number, number, number, number];
    const mask = positions.length - 1;
    for (let at = this.slotOf(b, c, d) & mask; ; at = (at + 1) & mask) {
      const position = positions[at]!;
      if (position === 0) return -1 - at;
      const word = at * wordsPerId;
      if (position === removed || ids[word + 3] !== d || ids[word + 2] !== c) continue;
      if (ids[word + 1] === b && ids[word] === a) return at;
    }
  }

  private slotOf(b: number, c: number, d: number): number {
    return Math.imul(b ^ Math.imul(c, 0x85ebca6b) ^ d, 0x9e3779b1) >>> 4;
  }

  private grow(): void {
    const { ids, positions } = this;
    const capacity = this.size * 5 > positions.length ? positions.length * 2 : positions.length;
    this.ids = new Uint32Array(capacity * wordsPerId);
    this.positions = new Float64Array(capacity);
    this.used = this.size;
    for (let from = 0; from < positions.length; from++) {
      const position = positions[from]!;
      if (position === 0 || position === removed) continue;
      const id = ids.subarray(from * wordsPerId, (from + 1) * wordsPerId);
      let at = this.slotOf(id[1]!, id[2]!, id[3]!) & (capacity - 1);
      while (this.positions[at] !== 0) at = (at + 1) & (capacity - 1);
      this.positions[at] = position;
      this.ids.set(id, at * wordsPerId);
    }
  }
}
