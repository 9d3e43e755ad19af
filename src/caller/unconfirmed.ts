// Messages that their targets have carried out, until the store, which is elsewhere, has what that rests on. If it refuses
// it (another log has the aggregate), the outcome is void and the message is delivered again. Caller's thread.
//
// Invariant: they are looked at in the order in which they came, so those of one lane are delivered again in theirs.
import { isError } from '../errors.ts';
import { unawaited } from '../guarded.ts';
import type { CommandReceipt, RepeatedReceipt } from './receipt.ts';

export type Answer = CommandReceipt | RepeatedReceipt;

interface Entry<Of> {
  readonly of: Of;
  readonly answer: Answer;
}

/** From so many on, lanes wait for the store. */
const waitingMost = 65_536;

export class Unconfirmed<Of> {
  private readonly onEnd: (of: Of, isStored: boolean) => void;
  private queue: Entry<Of>[] = [];
  private first = 0;
  private isRunning = false;

  /** `onEnd`: whether the store has it, or has refused it. */
  constructor(onEnd: (of: Of, isStored: boolean) => void) {
    this.onEnd = onEnd;
  }

  get isFull(): boolean {
    return this.queue.length - this.first >= waitingMost;
  }

  add(of: Of, answer: Answer): void {
    this.queue.push({ of, answer });
    if (this.isRunning) return;
    this.isRunning = true;
    unawaited(this.run(), () => {}); // what ends the runtime ends no message: the next start delivers it
  }

  private async run(): Promise<void> {
    for (let next = this.queue[this.first]; next !== undefined; next = this.queue[this.first]) {
      const isStored = await this.isStored(next.answer);
      this.first++;
      if (this.first > 1024 && this.first * 2 > this.queue.length) {
        this.queue = this.queue.slice(this.first);
        this.first = 0;
      }
      this.onEnd(next.of, isStored);
    }
    this.queue = [];
    this.first = 0;
    this.isRunning = false;
  }

  private async isStored(answer: Answer): Promise<boolean> {
    try {
      await answer.whenAt('stored', undefined, 'own');
      return true;
    } catch (error) {
      if (isError(error, 'Quarantined')) return false;
      throw error;
    }
  }
}
