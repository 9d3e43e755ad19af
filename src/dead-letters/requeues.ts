// Dead letters of a subscription that are handled again, aggregate by aggregate, in order, until one fails or none is left.
// Owned by the host thread.
import { pause } from '../base/clock.ts';
import { mayComeBack, storeBackoffMs } from '../handler-state/store-backoff.ts';
import type { DeadLetterRecord, ParkedSequences } from './parked-sequences.ts';

export interface RequeueParts {
  parked: ParkedSequences;
  isClosing(): boolean;
  /** Handle it behind what is going on with its aggregate; whether it has been handled. */
  handle(letter: DeadLetterRecord): Promise<boolean>;
  failed(error: unknown): void;
  /** What should not happen has. */
  broken(error: unknown): void;
}

export class Requeues {
  private readonly parts: RequeueParts;
  private readonly underWay = new Set<string>();

  constructor(parts: RequeueParts) {
    this.parts = parts;
  }

  /** Never rejects. */
  async run(aggregate: string): Promise<void> {
    if (this.underWay.has(aggregate)) return;
    this.underWay.add(aggregate);
    const { parked, isClosing, handle, broken } = this.parts;
    try {
      while (parked.has(aggregate) && !isClosing()) {
        const letter = await this.first(aggregate);
        if (letter === undefined) return;
        if (!(await handle(letter))) return;
      }
    } catch (error) {
      broken(error);
    } finally {
      this.underWay.delete(aggregate);
    }
  }

  /** While the tables are unavailable it waits: that they were asked for is kept there, too. */
  private async first(aggregate: string): Promise<DeadLetterRecord | undefined> {
    const { parked, isClosing, failed } = this.parts;
    for (let failures = 1; ; failures++) {
      try {
        return await parked.first(aggregate);
      } catch (error) {
        if (isClosing()) return undefined;
        if (!mayComeBack(error)) throw error;
        failed(error);
        await pause(storeBackoffMs(failures), undefined, { ref: false });
      }
    }
  }
}
