// Dead letters that are to be delivered again: those of a lane one after the other, each until it is gone from the box, or lies
// there again. Host thread.
//
// Invariant: the outcome of a letter stays in the log (`Lane.held`) until the letter is gone from the box durably.
import type { LetterBox, Message } from '../wire/message.ts';
import type { DeliveryEnd } from './delivery.ts';
import type { Holds } from './holds.ts';
import type { Lane } from './lane.ts';
import type { Holder } from './relief.ts';
import type { Tally } from './tally.ts';
import type { Answer, confirmed } from './unconfirmed.ts';

/** What deliveries do for them as for any message. */
export interface LetterDelivery {
  deliver(
    lane: Lane,
    message: Message,
    stopped: AbortSignal,
    onOutcome: (position: number) => void,
  ): Promise<DeliveryEnd>;
  /** Whether an outcome, which is written, lasts. */
  confirmed(answer: Answer | undefined): ReturnType<typeof confirmed>;
}

export class RequeuedLetters {
  private readonly holds: Holds<Holder>;
  private readonly stopped: AbortSignal;
  private readonly tally: Tally;
  private readonly delivery: LetterDelivery;

  constructor(holds: Holds<Holder>, stopped: AbortSignal, tally: Tally, delivery: LetterDelivery) {
    this.holds = holds;
    this.stopped = stopped;
    this.tally = tally;
    this.delivery = delivery;
  }

  /** The first letter of a lane, once more; false when the runtime stops. */
  async again(lane: Lane, box: LetterBox, request: number): Promise<boolean> {
    const message = await box.first(lane.key);
    if (message === undefined) {
      await box.endRequeue(lane.key, request);
      this.letGo(lane);
      return true;
    }
    this.tally.began(1);
    try {
      return await this.letter(lane, box, request, message);
    } finally {
      this.tally.ended(1);
    }
  }

  private async letter(lane: Lane, box: LetterBox, request: number, message: Message): Promise<boolean> {
    const { delivery, tally } = this;
    const givenUp = new AbortController();
    lane.letter = { id: message.id, givenUp };
    const stopped = AbortSignal.any([givenUp.signal, this.stopped]);
    const onOutcome = (position: number): void => {
      lane.held ??= this.holds.add(position);
    };
    const end = await delivery.deliver(lane, message, stopped, onOutcome);
    lane.letter = undefined;
    if (end.kind === 'held') return true;
    if (end.kind === 'stopped' && !givenUp.signal.aborted) return false;
    if (end.kind === 'failed') {
      if (await box.park(message, end, true)) {
        tally.parked(message, end);
        await box.endRequeue(lane.key, request);
      }
    } else if (end.kind !== 'stopped') {
      const what = await delivery.confirmed(end.answer);
      if (what === 'stopped') return false;
      if (what === 'lasts') {
        if (end.kind === 'refused') tally.refused(message, end.error);
        await box.remove(message);
      }
    }
    this.letGo(lane);
    return true;
  }

  private letGo(lane: Lane): void {
    this.holds.release(lane.held);
    lane.held = undefined;
  }
}
