// How a runtime ends: its steps in order, and how long `close` waits for them. A stage says under which step the thing that it
// has opened is closed, in the turn in which it has opened it. So a start that fails at any stage closes what there is, by the
// same steps. Host thread.
//
// The steps are not the start reversed: the flush thread starts behind the log's threads and ends behind them, because it
// carries on what these have written last; the readers of the store end behind all threads, because the last replies ask them.
import { clearTimeout, pause, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { detached } from '../base/running.ts';
import { StopSteps } from '../base/stop-steps.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';

const graceMs = 10_000;
const momentMs = 1_000;

/** The steps, from the first to the last, each with its name in an error. */
const order = {
  /** No command comes in from here on. */
  admission: 'commands',
  messages: 'messages',
  rehearsal: 'the rehearsal',
  handlers: 'handlers',
  relay: 'the relay of the outbox',
  /** Those in flight end. Messages in progress may need what they are kept in until here. */
  drained: 'commands in flight',
  messagesEnd: 'messages',
  handlerState: 'what handlers keep',
  shards: 'shards',
  logThread: 'the log thread',
  /** Commands that no shard has answered. */
  unanswered: 'commands in flight',
  syncThread: 'the sync thread',
  flushThread: 'the flush thread',
  /** What the last flush has brought to the store. */
  relayEnd: 'the relay of the outbox',
  /** Waits for a level that does not come any more. */
  waits: 'commands in flight',
  readers: 'readers of the store',
  logReader: 'readers of the log',
  gate: 'the gate',
  lock: 'the lock',
} as const;

export type StopStep = keyof typeof order;

interface Closer {
  readonly step: StopStep;
  close(): unknown;
  /** What it would be waited for now, more exactly than by its step's name. */
  left?(): string | undefined;
}

export class Shutdown {
  /** Resolves when nothing is waited for any longer. */
  readonly abandoned: Promise<void>;
  private readonly control: ControlBlockWriter<'host'>;
  private readonly closers: Closer[] = [];
  private readonly givenUp: string[] = [];
  private readonly abandon: () => void;
  private ended: Promise<void> | undefined;
  private waitingFor = 'nothing';
  private hasEnded = false;

  constructor(control: ControlBlockWriter<'host'>) {
    this.control = control;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.abandoned = promise;
    this.abandon = resolve;
  }

  /** What has been opened is closed in this step; within a step, what was opened last is closed first. */
  add(step: StopStep, close: () => unknown, left?: () => string | undefined): void {
    this.closers.push({ step, close, ...(left && { left }) });
  }

  get hasBegun(): boolean {
    return this.ended !== undefined;
  }

  get isClosed(): boolean {
    return this.hasEnded;
  }

  /**
   * Take all steps. Each closer is called, whatever becomes of the others; the directory's lock goes last, and always.
   * Idempotent. @throws InternalFault
   */
  end(): Promise<void> {
    this.ended ??= detached((all) => all.takeSteps(), this).finally(() => {
      this.hasEnded = true;
    });
    return this.ended;
  }

  private async takeSteps(): Promise<void> {
    const steps = new StopSteps((what) => {
      this.waitingFor = what;
    });
    const closers = this.closers.toReversed();
    for (const step of Object.keys(order) as StopStep[]) {
      for (const one of closers) if (one.step === step) await steps.take(order[step], () => one.close());
    }
    steps.end();
  }

  /** What ends in a moment by itself: once nothing is waited for any longer, it has that moment and no more. */
  async orAbandoned(ends: Promise<unknown>): Promise<void> {
    await Promise.race([ends, this.abandoned.then(() => pause(momentMs, undefined, { ref: false }))]);
  }

  /** The same for what could still write: after that moment it is `cut` off, and its end is waited for. */
  async orCut(ends: Promise<unknown>, cut: () => void): Promise<void> {
    const late = this.abandoned.then(() => pause(momentMs, 'late', { ref: false }));
    if ((await Promise.race([ends, late])) !== 'late') return;
    cut();
    await ends;
  }

  /** `end`, with a deadline. If something had to be given up for it, rejects with `CloseTimedOut`. */
  within(deadlineMs: number): Promise<void> {
    const ended = this.end();
    return new Promise((resolve, reject) => {
      const timedOut = (): TrunklineError =>
        new TrunklineError('CloseTimedOut', { deadlineMs, waitingFor: this.givenUp });
      const late = setTimeout(
        guarded(() => this.giveUp()),
        deadlineMs,
      );
      // Should even that not end it (a disk that does not answer), the dispatcher at least learns it.
      const tooLate = setTimeout(
        guarded(() => reject(timedOut())),
        deadlineMs + graceMs,
      );
      ended
        .then(() => (this.givenUp.length > 0 ? reject(timedOut()) : resolve()), reject)
        .finally(() => {
          clearTimeout(late);
          clearTimeout(tooLate);
        });
    });
  }

  private giveUp(): void {
    if (this.givenUp.length > 0) return;
    const [left = this.waitingFor] = this.closers.flatMap(({ left }) => left?.() ?? []);
    this.givenUp.push(left);
    this.control.setFlag(Signal.abandoned, 1);
    this.abandon();
  }
}
