// What a store elsewhere has to pass over for a while, because others hold it there: a transaction that stays open has locked an
// aggregate. The log keeps what is passed over, since `stored` stays before it; `passed` goes on.
import type { Sink } from '../log/sink.ts';

export interface AggregateKey {
  readonly type: string;
  readonly id: string;
}

/** What one command has said, as far as it waits in the log for a lock of others. */
export interface HeldGroup {
  /** Positions of its first and last frame. */
  readonly from: number;
  readonly to: number;
  /** Whose events it has. */
  readonly aggregates: readonly AggregateKey[];
}

export interface HeldChange {
  /** In order, behind all that are held already. */
  readonly held: readonly HeldGroup[];
  /** Held no more, by their first positions: stored, or in quarantine. */
  readonly settled: readonly number[];
}

/** How a sink lets the flusher know. */
export interface Holding {
  /** The first position that it does not have, although it has later ones; undefined: there is none. */
  readonly heldFrom: number | undefined;
  /** It has, or holds back, everything up to here. */
  readonly passed: number;
  /** How long until it wants to try again what it holds back, milliseconds. */
  readonly dueInMs: number;
  /** Try it again. Errors as from `write`. */
  settle(signal: AbortSignal): Promise<void>;
}

export type StoreSink = Sink & Partial<Holding>;
