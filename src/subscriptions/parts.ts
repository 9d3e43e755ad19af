// A stored event that has become several, as a handler gets it: its parts, one call after the other, within one attempt. It is done
// when all of them are; where one fails, the next attempt hands over all of them again.

import { isThenable } from '../base/thenable.ts';
import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import type { StoredEvent } from '../model/event.ts';
import type { WantedNames } from '../model/evolution.ts';
import { isSplit, wantedParts } from '../model/evolved-event.ts';
import type { Attempt } from './attempt.ts';
import type { Delivery } from './handlers.ts';

/** What goes with one part: an effect key of its own, all else of the attempt. */
class PartDelivery implements Delivery {
  readonly effectKey: string;
  readonly #attempt: Attempt;

  constructor(attempt: Attempt, part: StoredEvent) {
    this.effectKey = attempt.effectKeyOf(part);
    this.#attempt = attempt;
  }

  get attempt(): number {
    return this.#attempt.attempt;
  }
  get dryRun(): boolean {
    return this.#attempt.dryRun;
  }
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }
  get tx(): EffectTransaction {
    return this.#attempt.tx;
  }
  /** As a handler's thread says it of each part. */
  waits(): void {
    this.#attempt.waits();
  }
  called(): void {
    this.#attempt.called();
  }
}

export type HandlePart = (event: StoredEvent, delivery: any) => unknown;

/** Hand the parts over in their order; a promise as soon as one of the calls returns one. None begins when the attempt's time is up. */
export function handleParts(parts: readonly StoredEvent[], attempt: Attempt, handle: HandlePart): unknown {
  return inTurn(parts, (part) => {
    if (attempt.isExpired) throw attempt.signal.reason;
    return handle(part, new PartDelivery(attempt, part));
  });
}

/** One call after the other; a promise as soon as one of them returns one. */
function inTurn<T>(items: readonly T[], call: (item: T) => unknown, from = 0): unknown {
  for (let i = from; i < items.length; i++) {
    const result = call(items[i]!);
    if (isThenable(result)) return Promise.resolve(result).then(() => inTurn(items, call, i + 1));
  }
  return undefined;
}

/** The events of a batch, each that was split as those of its parts that are wanted. */
export function allParts(
  events: readonly StoredEvent[],
  names: WantedNames | undefined,
  where: (part: StoredEvent) => boolean = () => true,
): readonly StoredEvent[] {
  if (!events.some(isSplit)) return events;
  return events.flatMap((event) => (isSplit(event) ? wantedParts(event, names).filter(where) : [event]));
}
