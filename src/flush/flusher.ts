// The one generic loop behind every sink: cursor on the log → batch → sink → next. Runs on the flush thread's event loop,
// beside the others. A failing sink is retried without end, alone; a sink that cannot go on stops, alone; both keep
// what they still need in the log.
import { backoffMs, stretched } from '../base/backoff.ts';
import { BatchSize } from '../base/batch-size.ts';
import { clearTimeout, performance, setTimeout, yieldToLoop } from '../base/clock.ts';
import { asError, isError, TrunklineError } from '../base/errors.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { shown } from '../base/shown.ts';
import { tame } from '../base/tame.ts';
import { BatchBuffer } from './batch.ts';
import { type FlusherState, type FlusherStatus, isFatal, refusedBy } from './flush.ts';
import { defaults, type FlusherSettings, type Resolved } from './flusher-settings.ts';

/** No repetition of the same attempt will do. */
const isFinal = (error: unknown): boolean => isFatal(error) || isError(error, 'StoreBehind');

export class Flusher {
  readonly name: string;
  private readonly settings: Resolved;
  private readonly batch = new BatchBuffer();
  private readonly size: BatchSize;
  /** The batch has failed, and is to be filled again. */
  private isTooMuch = false;
  /** The last position that the sink can hold: of earlier runs, or of what it has been given in this one. */
  private most: number;
  private readonly stopped = new AbortController();
  private readonly attempts = new AbortController();
  private state: FlusherState = 'opening';
  private lastError: Error | undefined;
  private stopping = false;
  private wakeUp: () => void = () => {};
  private committedAt = Number.NEGATIVE_INFINITY;
  private opened = false;
  private behind = false;
  /** What comes next follows a loss that has been passed over. */
  private followsLoss = false;
  private onTried: () => void = () => {};
  /** Resolves when the sink has been opened, or could not be at the first attempt. */
  readonly tried: Promise<void> = new Promise((resolve) => {
    this.onTried = resolve;
  });
  /** The sink's checkpoint; 0 until it is open. */
  position = 0;

  constructor(settings: FlusherSettings) {
    const given = Object.entries(settings).filter(([, value]) => value !== undefined);
    this.settings = { ...defaults, ...(Object.fromEntries(given) as unknown as FlusherSettings) };
    this.name = settings.name;
    this.size = new BatchSize(this.settings.batchFrames);
    this.most = this.settings.lastPosition;
  }

  get status(): FlusherStatus {
    const { state, position, lastError } = this;
    return { state, position, lag: Math.max(0, this.settings.limit() - position), lastError };
  }

  /** Whether the checkpoint is known. */
  get isOpen(): boolean {
    return this.opened;
  }

  /** Open the sink and follow the log until stopped, or until an error that no repetition cures. Never rejects. */
  async run(): Promise<void> {
    try {
      await this.open();
      this.state = 'running';
      while (await this.step());
      this.state = 'stopped';
    } catch (error) {
      this.failed(error);
      this.state = this.stopping && !isFatal(error) ? 'stopped' : 'failed';
    }
    if (this.opened) await this.close();
  }

  /** Something may have become synced. */
  wake(): void {
    this.watchBacklog();
    this.wakeUp();
  }

  /** Change the sink's settings. */
  configure(change: unknown): void {
    const { sink, name } = this.settings;
    if (!sink.configure) {
      const reason = 'this sink takes no changes while running';
      throw new TrunklineError('InvalidOptions', { option: name, value: shown(change), reason });
    }
    sink.configure(change);
  }

  private watchBacklog(): void {
    const { limit, backlogLimit, onBehind } = this.settings;
    const lag = limit() - this.position;
    const isBehind = lag > backlogLimit;
    if (isBehind && !this.behind) onBehind(this.name, lag, backlogLimit);
    this.behind = isBehind;
  }

  /** Come up to what is synced, with one attempt for each batch from now on, and end. */
  stop(): void {
    this.stopping = true;
    this.stopped.abort();
    this.wakeUp();
  }

  /** Do not wait for the current attempt any longer. */
  abort(): void {
    this.stop();
    this.attempts.abort(new Error('the runtime waits no longer'));
  }

  private async open(): Promise<void> {
    const { sink } = this.settings;
    const position = await this.attempt(async () => this.checkHeld('open', await sink.open()));
    this.opened = true;
    this.moveTo(position);
    this.onTried();
  }

  /** A position by a sink's word is bounded by what the log knows, each time: one beyond it would skip what comes next. */
  private checkHeld(call: string, position: number): number {
    const { name, dataDir } = this.settings;
    if (!Number.isSafeInteger(position) || position < 0) {
      const reason = `${call}() must return a position, and returned ${tame(position)}`;
      throw new TrunklineError('InvalidOptions', { option: `sinks.${name}`, value: shown(position), reason });
    }
    if (position <= this.most) return position;
    const reason = `sink '${name}' holds position ${position} already, and can have got no more than ${this.most} from it`;
    throw new TrunklineError('LogDamaged', { dataDir, reason });
  }

  /** One batch, or a pause; false when it is time to end. */
  private async step(): Promise<boolean> {
    if (this.attempts.signal.aborted) return false;
    const lag = this.settings.limit() - this.position;
    if (lag > 0 && !(await this.isDue(lag))) return true;
    if (lag > 0 && this.passLoss()) return true;
    if (lag > 0 && this.fill()) {
      const { batch } = this;
      const position = await this.write(batch);
      this.committedAt = performance.now();
      this.moveTo(position);
      await yieldToLoop(); // the other flushers' turn
      return true;
    }
    if (this.stopping) return false;
    await this.sleep();
    return true;
  }

  /** Where the sink is afterwards: at the batch's end, or where it finds itself, further back. */
  private async write(batch: BatchBuffer): Promise<number> {
    try {
      const held = await this.attempt(() => this.writePart(batch));
      this.followsLoss = false;
      this.size.succeeded();
      this.tellRefusals(batch);
      return Math.max(batch.toPosition, held ?? 0);
    } catch (error) {
      if (!isError(error, 'StoreBehind') || error.details.position >= batch.toPosition) throw error;
      this.settings.onFailure(error, 0);
      this.followsLoss = false;
      return error.details.position;
    }
  }

  /** After a failure with half of the batch, where the sink takes parts. */
  private async writePart(batch: BatchBuffer): Promise<number | undefined> {
    const { sink } = this.settings;
    if (this.isTooMuch) this.fill();
    this.isTooMuch = false;
    try {
      return await this.writeWhatGoes(batch);
    } catch (error) {
      if (sink.takesParts) this.size.failed(batch.count);
      this.isTooMuch = sink.takesParts === true;
      throw error;
    }
  }

  /** The same batch again, at once, without each event that the sink refuses. */
  private async writeWhatGoes(batch: BatchBuffer): Promise<number | undefined> {
    this.most = Math.max(this.most, batch.toPosition);
    for (;;) {
      try {
        const held = (await this.settings.sink.write(batch, this.attempts.signal)) ?? undefined;
        return held === undefined ? undefined : this.checkHeld('write', held);
      } catch (error) {
        const position = refusedBy(error);
        if (position === undefined || !batch.refuse(position, tame(error))) throw error;
      }
    }
  }

  private tellRefusals(batch: BatchBuffer): void {
    const events: TrunklineError<'EventQuarantined'>[] = [];
    for (const { event, reason } of batch.refusals()) {
      const { position, aggregateType, aggregateId, type: eventType } = event;
      events.push(new TrunklineError('EventQuarantined', { position, aggregateType, aggregateId, eventType, reason }));
    }
    if (events.length > 0) this.settings.onSetAside(events);
  }

  private moveTo(position: number): void {
    this.position = position;
    this.settings.onPosition(position);
  }

  /** Positions that a recovery has given up come no more, and what is written next may come never: go past them at once. */
  private passLoss(): boolean {
    const next = this.position + 1;
    const end = this.settings.endOfLoss(next);
    if (end === undefined || this.settings.log.read(next) !== undefined) return false;
    const last = Math.min(end - 1, this.settings.limit());
    if (last <= this.position) return false;
    this.followsLoss = true;
    this.moveTo(last);
    return true;
  }

  /** Fill the batch with what has arrived; false if that is nothing. */
  private fill(): boolean {
    const { log, batchBytes, batchFrames } = this.settings;
    const { batch } = this;
    const limit = this.settings.limit();
    const enough = Math.min(limit, this.position + this.size.limit);
    batch.begin(this.position + 1, this.followsLoss);
    while (batch.toPosition < enough && batch.byteCount < batchBytes && batch.count < batchFrames) {
      const chunk = log.read(batch.toPosition + 1);
      if (chunk === undefined) break;
      if (chunk.firstPosition > batch.toPosition + 1) {
        if (batch.count > 0) break;
        if (this.isLost(batch.toPosition + 1, chunk.firstPosition)) {
          batch.begin(chunk.firstPosition, true);
          if (!batch.take(chunk, limit, enough)) break;
          continue;
        }
        const gone = { position: batch.toPosition + 1, firstKept: chunk.firstPosition };
        throw new TrunklineError('PositionGone', gone);
      }
      if (!batch.take(chunk, limit, enough)) break;
    }
    return batch.count > 0;
  }

  /** Whether everything from one position up to another is given up. */
  private isLost(from: number, end: number): boolean {
    for (let next: number | undefined = from; next !== undefined; next = this.settings.endOfLoss(next)) {
      if (next >= end) return true;
    }
    return false;
  }

  /** Whether to commit now. If not, some time has passed and there may be more to commit. */
  private async isDue(lag: number): Promise<boolean> {
    const { lingerMs, batchFrames } = this.settings;
    const waitMs = this.committedAt + lingerMs - performance.now();
    if (waitMs <= 0 || this.stopping || this.settings.isHurried() || lag >= batchFrames / 2) return true;
    await this.sleep(waitMs);
    return false;
  }

  private sleep(forMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = forMs === undefined ? undefined : setTimeout(resolve, Math.ceil(forMs));
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Try until it works. Rejects on a fatal error, and on any once it is to stop: one attempt begins behind the stop. */
  private async attempt<T>(action: () => Promise<T> | T): Promise<T> {
    const { retryMs, retryMsLimit: maxMs } = this.settings;
    const previous = this.state;
    for (let failures = 1; ; failures++) {
      const isLast = this.stopping;
      try {
        const value = await action();
        this.state = previous;
        this.lastError = undefined;
        return value;
      } catch (thrown) {
        const error = asError(thrown);
        if (isFinal(error) || isLast || this.attempts.signal.aborted) throw error;
        if (this.stopping) continue;
        const pauseMs = Math.round(backoffMs(failures, { minMs: stretched(retryMs), maxMs }));
        this.state = 'retrying';
        this.lastError = error;
        this.settings.onFailure(error, pauseMs);
        this.onTried();
        await pauseUnless(this.stopped.signal, pauseMs);
        if (this.attempts.signal.aborted) throw error;
      }
    }
  }

  private failed(error: unknown): void {
    this.lastError = asError(error);
    this.settings.onFailure(this.lastError, undefined);
    this.onTried();
  }

  private async close(): Promise<void> {
    try {
      await this.settings.sink.close();
    } catch (error) {
      this.failed(error);
    }
  }
}
