// Messages that their targets have carried out, until the store, which is elsewhere, has what that rests on. If it refuses
// it (another log has the aggregate), the outcome is void and the message is delivered again. Host thread.
//
// Invariants: they are looked at in the order in which they came, so those of one lane are delivered again in theirs; only
// the end of the runtime ends that.
import { pause } from '../base/clock.ts';
import { isError } from '../base/errors.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import type { Level } from '../model/receipt.ts';
import type { CommandReceipt, RepeatedReceipt } from './receipt.ts';

export type Answer = CommandReceipt | RepeatedReceipt;

interface Entry<Of> {
  readonly of: Of;
  readonly answer: Answer;
  readonly bytes: number;
}

/** From so many on, or from so much of the heap, lanes wait for the store. */
const waitingMost = 65_536;
const bytesMost = 32 << 20;
const askAgainMs = 1_000;

export class Unconfirmed<Of> {
  private readonly onEnd: (of: Of, isStored: boolean) => void;
  private readonly hasStopped: () => boolean;
  private queue: Entry<Of>[] = [];
  private first = 0;
  private bytes = 0;
  private isRunning = false;

  /** `onEnd`: whether the store has it, or has refused it. */
  constructor(onEnd: (of: Of, isStored: boolean) => void, hasStopped: () => boolean) {
    this.onEnd = guarded(onEnd);
    this.hasStopped = hasStopped;
  }

  get isFull(): boolean {
    return this.queue.length - this.first >= waitingMost || this.bytes >= bytesMost;
  }

  /** `bytes`: what it takes of the heap, about. */
  add(of: Of, answer: Answer, bytes = 0): void {
    this.queue.push({ of, answer, bytes });
    this.bytes += bytes;
    if (this.isRunning) return;
    this.isRunning = true;
    unawaited(this.run());
  }

  private async run(): Promise<void> {
    for (let next = this.queue[this.first]; next !== undefined; next = this.queue[this.first]) {
      const end = await confirmed(() => whenStored(next.answer), this.hasStopped);
      if (end === 'stopped') return; // the next start delivers what is left
      this.first++;
      this.bytes -= next.bytes;
      if (this.first > 1024 && this.first * 2 > this.queue.length) {
        this.queue = this.queue.slice(this.first);
        this.first = 0;
      }
      this.onEnd(next.of, end === 'lasts');
    }
    this.queue = [];
    this.first = 0;
    this.isRunning = false;
  }
}

const whenStored = (answer: Answer): Promise<void> => answer.whenAt('stored', undefined, 'own');

/** Whether an outcome, which is written, lasts: it is synced, and stored, where the store is elsewhere and may refuse it. */
export function lasts(
  answer: Answer | undefined,
  sender: {
    readonly progress: { readonly isStoreElsewhere: boolean };
    reached(level: Level, position: number): Promise<void>;
  },
  written: number,
  hasStopped: () => boolean,
): ReturnType<typeof confirmed> {
  if (answer !== undefined && sender.progress.isStoreElsewhere) return confirmed(() => whenStored(answer), hasStopped);
  return confirmed(() => sender.reached('synced', written), hasStopped);
}

/** What comes of an outcome, once it is known; asked again after whatever else goes wrong, until `hasStopped`. */
export async function confirmed(
  ask: () => Promise<void>,
  hasStopped: () => boolean,
): Promise<'lasts' | 'refused' | 'stopped'> {
  for (;;) {
    try {
      await ask();
      return 'lasts';
    } catch (error) {
      if (isError(error, 'Quarantined')) return 'refused';
      if (hasStopped()) return 'stopped';
      await pause(askAgainMs);
    }
  }
}
