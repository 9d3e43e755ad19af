// Events handed over several at a time, one batch after the other, in log order. Owned by the host thread.
//
// A batch whose attempts are used up is taken apart: each event once more, alone, so that those that cannot be handled are
// the only ones to become dead letters. One that may have failed by its size alone is handed over in halves, and the next ones
// are as small, until some have gone well.

import { BatchSize } from '../base/batch-size.ts';
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';
import type { Turn } from '../wire/care.ts';
import { Again } from './again.ts';
import type { DeliveryRunner } from './delivery-runner.ts';
import type { Outcome } from './outcome.ts';
import { isOutgrown } from './outgrown.ts';
import type { SubscriptionSettings } from './settings.ts';
import { isAlone, type Work } from './work.ts';

export interface BatchEnds {
  mayBegin(work: Work): boolean;
  /** In one turn. */
  done(works: readonly Work[]): void;
  exhausted(work: Work, error: unknown, attempts: number): void;
  /** What should not happen has: nothing more may be begun. */
  broken(error: unknown): void;
  /** `isHandling` has ended. */
  ended(): void;
  /** An event that is handed over by itself, with care. */
  inTurn(work: Work, turn: Turn): Promise<void>;
}

export class BatchCollector {
  private readonly settings: NonNullable<SubscriptionSettings['batch']>;
  private readonly runner: DeliveryRunner;
  private readonly ends: BatchEnds;
  private readonly size: BatchSize;
  private gathered: Work[] = [];
  /** Of these, how many are handed over by themselves. */
  private aloneCount = 0;
  private isDue = false;
  /** A batch, or an event of one, is being handled or tried again. */
  isHandling = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly runs: Again;

  constructor(settings: NonNullable<SubscriptionSettings['batch']>, runner: DeliveryRunner, ends: BatchEnds) {
    this.settings = settings;
    this.size = new BatchSize(settings.max);
    this.runner = runner;
    this.ends = ends;
    this.runs = new Again(
      () => this.run(),
      (error) => ends.broken(error),
    );
  }

  add(work: Work): void {
    this.gathered.push(work);
    const alone = isAlone(work);
    if (alone) this.aloneCount++;
    if (alone || this.gathered.length >= this.most) this.isDue = true;
    else this.timer ??= setTimeout(this.due, this.settings.maxDelayMs);
    if (this.isDue) this.runs.ask();
  }

  /** Resolves when what runs has ended; what is gathered is left to another run. */
  async ended(): Promise<void> {
    clearTimeout(this.timer);
    await this.runs.ended();
    this.aloneCount = 0;
    for (const { told } of this.gathered.splice(0)) told?.({ kind: 'abandoned' });
  }

  private readonly due = guarded(() => {
    this.isDue = true;
    this.runs.ask();
  });

  private async run(): Promise<void> {
    while (this.isDue) {
      const batch = this.next();
      this.isHandling = batch.some((work) => work.pending !== undefined);
      try {
        if (batch.length === 1) await this.alone(batch[0]!);
        else if (batch.length > 1) await this.together(batch);
      } finally {
        this.isHandling = false;
        this.ends.ended();
      }
    }
  }

  /** Of one batch. */
  private get most(): number {
    return Math.min(this.settings.max, this.size.limit);
  }

  /** What is handed over next: a letter, an attempt beside the checkpoint, or what needs care, by itself. */
  private next(): Work[] {
    const { gathered, settings } = this;
    const first = this.aloneCount === 0 ? -1 : gathered.findIndex(isAlone);
    const most = first < 0 ? this.most : Math.max(1, Math.min(first, this.most));
    const taken = gathered.splice(0, most);
    if (first === 0) this.aloneCount--;
    this.isDue = gathered.length >= this.most || this.aloneCount > 0;
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.isDue && gathered.length > 0) this.timer = setTimeout(this.due, settings.maxDelayMs);
    return taken.filter((work) => this.ends.mayBegin(work));
  }

  private async together(batch: readonly Work[]): Promise<void> {
    const events = batch.map(({ event }) => event);
    const outcome = await this.runner.run(events, () => this.ends.done(batch));
    if (outcome.kind === 'done') this.size.succeeded();
    if (outcome.kind !== 'failed') return;
    if (isOutgrown(outcome.error)) return this.inHalves(batch);
    for (const work of batch) if (this.ends.mayBegin(work)) await this.alone(work);
  }

  private async inHalves(batch: readonly Work[]): Promise<void> {
    this.size.failed(batch.length);
    const middle = batch.length >> 1;
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      const left = half.filter((work) => this.ends.mayBegin(work));
      if (left.length === 1) await this.alone(left[0]!);
      else if (left.length > 1) await this.together(left);
    }
  }

  private async alone(work: Work): Promise<void> {
    if (work.turn !== undefined) return this.ends.inTurn(work, work.turn);
    if (work.once !== undefined) return work.told?.(await this.runner.single([work.event], work.once));
    const asked = work.letter !== undefined;
    const done = (): void => this.ends.done([work]);
    const mayBegin = (): boolean => this.ends.mayBegin(work);
    const outcome: Outcome = await this.runner.run([work.event], done, mayBegin, asked);
    if (outcome.kind === 'failed') this.ends.exhausted(work, outcome.error, outcome.attempts);
    work.told?.(outcome);
  }
}
