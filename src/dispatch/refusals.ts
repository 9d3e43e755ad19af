// Events that the store has refused, for as long as a caller may ask for them: no caller learns that these are `stored`.
import { TrunklineError } from '../base/errors.ts';
import { Fences, type Refused } from './fences.ts';

const keptLimit = 65_536; // a caller that waits for `stored` asks as soon as the store has come there

export class Refusals {
  /** Since the start; so many of them are answers without events. */
  count = 0;
  answers = 0;
  readonly fences: Fences = new Fences();
  private readonly byPosition: Map<number, Refused> = new Map();

  /** `answers`: how many of them are answers. */
  add(refused: readonly Refused[], answers: number): void {
    this.count += refused.length;
    this.answers += answers;
    for (const one of refused) this.byPosition.set(one.position, one);
    for (const position of this.byPosition.keys()) {
      if (this.byPosition.size <= keptLimit) break;
      this.byPosition.delete(position);
    }
  }

  /** Why not everything from `from` to `to` is stored; undefined if it is. */
  between(from: number, to: number): TrunklineError | undefined {
    if (this.byPosition.size === 0) return undefined;
    for (let position = from; position <= to; position++) {
      const refused = this.byPosition.get(position);
      if (refused === undefined) continue;
      const { aggregateType, aggregateId, version, reason } = refused;
      return new TrunklineError('Quarantined', { aggregateType, aggregateId, version, position, reason });
    }
    return undefined;
  }
}
