// What a flusher is given.
import type { TrunklineError } from '../base/errors.ts';
import type { LogSource } from '../log/log.ts';
import type { Sink } from '../log/sink.ts';

export interface FlusherSettings {
  name: string;
  sink: Sink;
  log: LogSource;
  /** The last position that may be read: what is synced. */
  limit(): number;
  /** The first position behind the loss that this position is part of; undefined if it is in none. Default: no losses. */
  endOfLoss?(position: number): number | undefined;
  /** Commits at most one batch in so many milliseconds, unless `isHurried()` or much has piled up; default 0. */
  lingerMs?: number;
  isHurried?(): boolean;
  /** A batch ends with the chunk that takes it to so many bytes (default 4 MiB) or frames (default 16,384). */
  batchBytes?: number;
  batchFrames?: number;
  /** Tell `onBehind` when more positions than this wait; once, until they do not any more. Default: never. */
  backlogLimit?: number;
  onBehind?(name: string, lag: number, limit: number): void;
  /** First and longest pause before a retry, milliseconds; defaults 100 and 30,000. Doubled each time, with jitter. */
  retryMs?: number;
  retryMsLimit?: number;
  /** Where the log ended when this run began: what a sink holds of earlier runs ends there; default: unknown. */
  lastPosition?: number;
  /** Whose log it is, for errors. */
  dataDir?: string;
  /** The checkpoint is known, or has moved. */
  onPosition?(position: number): void;
  /** These are committed without the events; the sink had refused them. */
  onSetAside?(events: readonly TrunklineError<'EventQuarantined'>[]): void;
  /** An attempt has failed; `retryInMs` is undefined if there will be no other. */
  onFailure?(error: Error, retryInMs: number | undefined): void;
}

export type Resolved = Required<FlusherSettings>;

export const defaults: Omit<Resolved, 'name' | 'sink' | 'log' | 'limit'> = {
  lingerMs: 0,
  isHurried: () => false,
  endOfLoss: () => undefined,
  batchBytes: 4 << 20,
  batchFrames: 16_384,
  backlogLimit: Number.POSITIVE_INFINITY,
  onBehind: () => {},
  retryMs: 100,
  retryMsLimit: 30_000,
  lastPosition: Number.POSITIVE_INFINITY,
  dataDir: '',
  onPosition: () => {},
  onFailure: () => {},
  onSetAside: () => {},
};
