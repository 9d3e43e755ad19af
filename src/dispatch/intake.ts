// Messages come in: from the rings while there is room in memory for what waits, else, and at a start, from the log and the
// message box, in log order, as far as there is room. Host thread.
//
// Invariants: all messages up to `takenTo` have been taken, none behind it; what the rings bring is taken, or left, for a whole
// turn, since several rings in one turn are in no common order. The log keeps what is left (`hold`) unless it is in the box.
// Reading and keeping exclude each other, so what is read from the box is durable there.
import { yieldToLoop } from '../base/clock.ts';
import { unawaited } from '../base/guarded.ts';
import { pauseUnless } from '../base/on-abort.ts';
import type { LogSource } from '../log/log.ts';
import type { KeptLetters, LetterBox, Message } from '../wire/message.ts';
import type { Held } from './held.ts';
import type { Hold, Holds } from './holds.ts';
import type { LastRun } from './last-run.ts';
import type { Holder, Unloaded } from './relief.ts';
import { stretchFrom } from './stretch.ts';

const takenAtOnce = 500;
const keptAtOnce = 100;
const lookAgainMs = 1_000;

/** `isKept`: it is in the box. */
type Take = (message: Message, isKept: boolean) => void;

export class Intake implements Unloaded {
  /** The rings' messages are to be taken as they come. */
  isLive = false;
  private readonly holds: Holds<Holder>;
  private readonly held: Held;
  private readonly take: Take;
  /** One was counted that is not to be delivered, or is there twice. */
  private readonly notCounted: () => void;
  private readonly stopped: AbortSignal;
  private takenTo = 0;
  /** All messages up to here have come by the rings, or are the last run's. */
  private written = 0;
  private hold: Hold<Holder> | undefined;
  /** The outcomes of the last run, until all of its messages have been taken: who takes one holds its own. */
  private outcomes: Hold<Holder> | undefined;
  private lastRun: LastRun | undefined;
  private box: LetterBox | undefined;
  /** Ids that are not to be delivered from the log. */
  private resolved: KeptLetters['resolved'] = new Set();
  /** Up to here `keep` has brought what is left into the box, and told of what is not to be counted. */
  private keptTo = 0;
  private isReading = false;
  private keeping: Promise<void> | undefined;

  constructor(holds: Holds<Holder>, held: Held, stopped: AbortSignal, take: Take, notCounted: () => void) {
    this.holds = holds;
    this.held = held;
    this.stopped = stopped;
    this.take = take;
    this.notCounted = notCounted;
  }

  /** What the last run has left: in the log, and what waits in the box. */
  begin(lastRun: LastRun, box: LetterBox, resolved: KeptLetters['resolved']): void {
    this.lastRun = lastRun;
    this.box = box;
    this.resolved = resolved;
    this.written = Math.max(this.written, lastRun.to);
    if (lastRun.carriedOut.size > 0) this.outcomes = this.holds.add(lastRun.from);
    if (lastRun.messages > 0) this.holdFrom(lastRun.from);
    this.look();
  }

  /** A ring has brought one, which is not taken now. */
  leave(position: number): void {
    if (this.hold === undefined || position < this.hold.position) this.holdFrom(position);
  }

  /** The rings have brought all up to there. */
  endTurn(written: number): void {
    this.written = Math.max(this.written, written);
    if (this.isLive) {
      this.takenTo = this.written;
      this.isLive = !this.held.isFull;
    } else {
      this.look();
    }
  }

  /** There may be room. */
  look(): void {
    if (this.isLive || this.isReading || this.box === undefined || !this.held.hasRoom || this.stopped.aborted) return;
    this.isReading = true;
    unawaited(this.read(this.lastRun!, this.box));
  }

  private async read(lastRun: LastRun, box: LetterBox): Promise<void> {
    try {
      while (this.keeping !== undefined) await this.keeping;
      while (this.held.hasRoom && !this.stopped.aborted) {
        try {
          const kept = box.waitingBytes > 0 ? await box.waitingFrom(this.takenTo + 1, keptAtOnce) : [];
          this.takeStretch(lastRun, kept);
          if (this.isLive) return;
          await yieldToLoop();
        } catch {
          // The box or the log could not be read: everything stays as it is there.
          await pauseUnless(this.stopped, lookAgainMs);
        }
      }
    } finally {
      this.isReading = false;
    }
  }

  /** `kept`: the next ones in the box; the log may hold them, too. */
  private takeStretch({ log, from }: LastRun, kept: readonly Message[]): void {
    const { written } = this;
    const to = kept.length < keptAtOnce ? written : kept.at(-1)!.position;
    const next = Math.max(this.takenTo + 1, from);
    const { messages, upTo } = next > to ? { messages: [], upTo: to } : stretchFrom(log, next, to, takenAtOnce);
    const inBox = new Set(kept.map(({ position }) => position));
    const isOver = (message: Message): boolean => inBox.has(message.position) || this.resolved.has(message.id);
    const inLog = messages.filter((message) => !isOver(message));
    for (const message of messages) if (isOver(message) && message.position > this.keptTo) this.notCounted();
    const all = [...kept.filter(({ position }) => position <= upTo), ...inLog].sort((a, b) => a.position - b.position);
    for (const message of all) this.take(message, inBox.has(message.position));
    this.takenTo = upTo;
    if (upTo >= written) {
      this.isLive = true;
      this.resolved = new Set();
      for (const hold of [this.hold, this.outcomes]) this.holds.release(hold);
      this.hold = undefined;
      this.outcomes = undefined;
    } else if (this.hold !== undefined && this.hold.position <= upTo) {
      this.holdFrom(upTo + 1);
    }
  }

  private holdFrom(position: number): void {
    const before = this.hold;
    this.hold = this.holds.add(position, this);
    this.holds.release(before);
  }

  get isBusy(): boolean {
    return this.box === undefined || this.isReading || this.keeping !== undefined;
  }

  async keep(log: LogSource, box: LetterBox, floor: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.keeping = promise;
    try {
      const from = this.hold!.position;
      const { messages, upTo } = stretchFrom(log, from, floor - 1, takenAtOnce);
      const fresh: { message: Message }[] = [];
      let over = 0;
      for (const message of messages) {
        const isThere = this.resolved.has(message.id) || (await box.waitingAt(message.position)) !== undefined;
        if (isThere) over++;
        else fresh.push({ message });
      }
      await box.keep(fresh, () => true);
      for (; over > 0; over--) this.notCounted();
      this.holdFrom(upTo + 1);
      this.keptTo = Math.max(this.keptTo, upTo);
      return true;
    } finally {
      this.keeping = undefined;
      resolve();
    }
  }
}
