// The contract of what follows the log, public: what a sink is, and what it is given. A sink is one file: the embedded store,
// a store, a stream, or a user's own (RabbitMQ, a webhook).
//
// Invariants: a sink sees whole groups only, in log order, no further than `synced`; what it commits and its checkpoint
// move together, so that it always holds a prefix of the log with no hole before its checkpoint.
import type { TrunklineError } from '../base/errors.ts';
import type { EventDeclaration, StoredEvent } from '../model/event.ts';
import type { FrameReader } from '../wire/frame.ts';

/** A run of whole groups. Valid until the `write` that it was given to has settled; its events may be kept. */
export interface Batch {
  /** Position of the first frame, and of the last: the checkpoint once the batch is committed. */
  readonly fromPosition: number;
  readonly toPosition: number;
  /** Positions right before it were lost by damage to the log, and come no more; the recovery has reported them. */
  readonly followsLoss: boolean;
  /** How many frames there are: events, and frames of other kinds that only the embedded store needs. */
  readonly count: number;
  /** The frames as the log has them, each starting at a multiple of 8. */
  readonly bytes: Buffer;
  /** The events, decoded one by one: payload and metadata only when looked at. Without those that the sink refuses. */
  events(): IterableIterator<StoredEvent>;
  /** Every frame, in place: the reader is pointed at it and valid during the visit. */
  eachFrame(visit: (frame: FrameReader, position: number) => void): void;
}

/** Follows the log. Calls never overlap: `open` first, one `write` at a time, `close` last. */
export interface Sink {
  /** The checkpoint: the last position that the sink holds; 0 if none. Thrown errors are retried. */
  open(): Promise<number> | number;
  /**
   * Commit the events and the checkpoint `batch.toPosition` together. A thrown error is retried with the same batch, so a
   * sink that cannot commit both at once must bear repetition. After an unknown outcome (a lost reply to COMMIT) throw:
   * the repetition has to find out. `signal` aborts when the runtime will wait no longer. A sink that finds that it holds
   * more than the batch returns the position up to which it does.
   *
   * An event that the sink can never take would stop it permanently: an error with a property `refuses`, the event's
   * position, sets that event aside. It is counted and logged, and the batch comes again without it.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a sink that has nothing to say returns nothing
  write(batch: Batch, signal: AbortSignal): Promise<number | void> | number | void;
  /**
   * After an error the batch comes again as a smaller one, which begins at the same position: a limit that the whole of it
   * exceeds does not stop the sink permanently. Needs a sink that returns what it holds, as above. Default: the same
   * batch.
   */
  readonly takesParts?: boolean | undefined;
  /** Called once, after the last `write`: give back connections and files. */
  close(): Promise<void> | void;
  /** A change of its settings while running, structurally cloned; perhaps during a `write`. Throws if it cannot be. */
  configure?(change: unknown): void;
}

/** What a sink gets when it is made. */
export interface SinkInfo {
  name: string;
  dataDir: string;
  logId: string;
  /**
   * First position that the log still keeps. A sink that begins later than the log returns `firstPosition - 1` from `open`
   * to follow from there; what lies before is in the store (`runtime.events`).
   */
  firstPosition: number;
  /**
   * Where the log ended when this run began. What a sink holds of earlier runs ends here or before: one that says more
   * belongs to another log, or this log has gone back, and it would pass over what comes next.
   */
  lastPosition: number;
  /** Events of the aggregates that the runtime was started with; those of entities need not be declared. */
  events: readonly EventDeclaration[];
  /** Tell the runtime's logger of something that does not stop the sink. */
  report(error: TrunklineError): void;
  /** Report events that the sink has passed over permanently: counted in `runtime.status().setAside`, and logged. */
  setAside(events: readonly TrunklineError<'EventQuarantined'>[]): void;
}

/** What a sink's module exports. `options` are the user's, structurally cloned. */
export interface SinkModule {
  /** Called once, as the sink's thread starts; what it throws refuses the start. */
  createSink(options: unknown, info: SinkInfo): Sink | Promise<Sink>;
}
