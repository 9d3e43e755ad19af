// A message that cannot be carried out becomes a dead letter. Host thread.
import { pauseUnless } from '../base/on-abort.ts';
import type { MessageSettings } from '../model/message-options.ts';
import type { LetterBox, MessageFailure } from '../wire/message.ts';
import type { MessageSender } from './delivery.ts';
import type { Open } from './relief.ts';
import type { Tally } from './tally.ts';

/** While there is no room for another dead letter. */
const lookAgainMs = 1_000;

export class Parking {
  private readonly sender: MessageSender;
  private readonly settings: MessageSettings;
  private readonly tally: Tally;
  private readonly stopped: AbortSignal;

  constructor(sender: MessageSender, settings: MessageSettings, tally: Tally, stopped: AbortSignal) {
    this.sender = sender;
    this.settings = settings;
    this.tally = tally;
    this.stopped = stopped;
  }

  /** False if it is not among the dead letters: there is no room, or what it was to wait behind has gone. */
  async park(box: LetterBox, open: Open, failure: MessageFailure | undefined): Promise<boolean> {
    const { message } = open;
    if (box.total >= this.settings.deadLetterLimit) {
      this.tally.heldUp(message, failure?.error);
      await pauseUnless(this.stopped, lookAgainMs);
      return false;
    }
    // The box outlives a power loss; so must what it is about.
    await this.sender.reached('synced', message.position);
    open.isEnding = true;
    if (!(await box.park(message, failure, false, open.isKept))) {
      open.isEnding = false;
      return false;
    }
    this.tally.parked(message, failure);
    return true;
  }
}
