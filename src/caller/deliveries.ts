// Messages between aggregates, from `send`. A message is a frame in the log; it is delivered after it is written, and done
// when its outcome is synced. Until then the log keeps it, and a restart delivers it again, under a key made of its id:
// the target executes it once.
import pRetry from 'p-retry';
import { isError, Rejected } from '../errors.ts';
import { FrameKind, type FrameReader } from '../frame.ts';
import { eachFrame } from '../log/frames.ts';
import type { Levels } from '../log/levels.ts';
import type { LogSource } from '../log/log.ts';
import { messageKeyPrefix } from '../receipt.ts';
import type { Caller } from './caller.ts';

interface Delivery {
  position: number;
  settled: boolean;
}

/** Told of a message that its target refused, or that could not be carried out. */
export type DeliveryErrorHandler = (
  error: unknown,
  target: { aggregateType: string; id: string; command: string },
) => void;

export class Deliveries {
  private readonly caller: Caller;
  private readonly levels: Levels;
  private readonly onError: DeliveryErrorHandler;
  private readonly stop = new AbortController();
  /** In log order; the front is the first one that is not done. */
  private open: Delivery[] = [];
  /** All messages up to here have been added. */
  private seen = 0;
  private published = -1;
  /** Until the last run's messages are known, nothing counts as done: a chunk that said so would lose them to a kill. */
  private isRecovered = false;

  constructor(caller: Caller, levels: Levels, onError: DeliveryErrorHandler) {
    this.caller = caller;
    this.levels = levels;
    this.onError = onError;
  }

  get count(): number {
    return this.open.length;
  }

  /** Messages that the last run had written and perhaps not carried out. */
  recover(log: LogSource, from: number, to: number): void {
    eachFrame(log, from, to, (frame, position) => {
      if (frame.kind === FrameKind.message) this.add(frame, position);
    });
    this.isRecovered = true;
  }

  add(frame: FrameReader, position: number): void {
    const delivery: Delivery = { position, settled: false };
    // Each ring is in log order; what several bring in one turn is not.
    let at = this.open.length;
    while (at > 0 && this.open[at - 1]!.position > position) at--;
    this.open.splice(at, 0, delivery);
    const target = { aggregateType: frame.aggregateType, id: frame.aggregateId, command: frame.name };
    const [key, data, metadata] = [`${messageKeyPrefix}${frame.id}`, frame.dataJson, frame.metadataJson];
    const attempt = (): Promise<unknown> =>
      this.caller.sendNamed(target.aggregateType, target.command, target.id, data, metadata, {
        ack: 'synced',
        idempotencyKey: key,
      });
    // For ever: only what can never succeed ends it. Pushed back, or a shard died under it: again, a little later.
    pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 5,
      maxTimeout: 1000,
      factor: 2,
      randomize: true,
      signal: this.stop.signal,
      shouldRetry: ({ error }) => isPassing(error),
    }).then(
      () => this.settle(delivery),
      (error: unknown) => {
        // What ends the runtime says nothing about the message: the next start delivers it again.
        if (this.stop.signal.aborted || this.caller.closed) return;
        this.onError(error, target);
        this.settle(delivery);
      },
    );
  }

  private settle(delivery: Delivery): void {
    delivery.settled = true;
    this.settledUpTo(this.seen);
  }

  /** Tell the log how far everything is done, given that all messages up to `written` have been seen. */
  settledUpTo(written: number): void {
    this.seen = written;
    if (!this.isRecovered) return;
    let done = 0;
    while (done < this.open.length && this.open[done]!.settled) done++;
    if (done > 0) this.open = this.open.slice(done);
    const settled = this.open.length > 0 ? this.open[0]!.position - 1 : written;
    if (settled === this.published) return;
    this.published = settled;
    this.levels.publish('settled', settled);
  }

  close(): void {
    this.stop.abort();
  }
}

/** Pushed back; or the target cannot be loaded before the store is back, or mended. */
const passing = [
  ...(['RingFull', 'MailboxFull', 'TooManyInFlight', 'LogFull', 'NotExecuted', 'OutcomeUnknown'] as const),
  ...(['StoreUnavailable', 'StoreAccessDenied', 'StoreSchemaMissing', 'StoreSchemaAltered'] as const),
];

function isPassing(error: unknown): boolean {
  if (error instanceof Rejected) return false;
  return passing.some((code) => isError(error, code));
}
