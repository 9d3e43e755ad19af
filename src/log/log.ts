// The contract of the log: what other stages may know of it.
import type { WireError } from '../base/wire-error.ts';
import type { Lost } from './losses.ts';

/** A run of whole groups, as the log keeps them. */
export interface Chunk {
  /** Position of its first frame; the others follow one by one. */
  readonly firstPosition: number;
  /** How many frames it holds. */
  readonly count: number;
  /** The frames, each starting at a multiple of 8. Valid until the next read from the same source. */
  readonly frames: Buffer;
}

/** The log as a thread reads it. Not shared between threads. */
export interface LogSource {
  /** The chunk that holds position `from`, or else the first one behind it; undefined at the end of the log. */
  read(from: number): Chunk | undefined;
  /** The first position that the log still keeps; 0 if it is empty. */
  firstPosition(): number;
  close(): Promise<void>;
}

/** What a start found in the log, for the user to see. */
export interface RecoveryReport {
  /** how the last run ended: never began, `close()`, killed, or the machine went down */
  lastEnd: 'new' | 'clean' | 'killed' | 'power loss';
  /** first and last position kept; 0 and 0 where the log is empty */
  firstPosition: number;
  lastPosition: number;
  frames: number;
  milliseconds: number;
  /** positions that were seen and could not be kept, each with the reason; empty after an honest kill */
  leftOut: { fromPosition: number; toPosition: number; reason: string }[];
  /** where the damaged file was put aside, if one was */
  damagedFile?: string | undefined;
}

/** What the log thread is started with. */
export interface LogThreadData {
  controlBlock: SharedArrayBuffer;
  folder: string;
  mapBytes: number;
  maxBytes: number;
  /** From here on no new command is let in, if commands are rejected rather than delayed. */
  admitBytes: number;
  batchBytesLimit: number;
  groupLimit: number;
  retainMs: number;
  retainBytes: number;
  bootId: string;
}

/**
 * The disk is short, and the log has begun to give up what it keeps for its retention alone: these positions. Or it keeps
 * that again: from these on.
 */
export interface RetentionNews {
  isGivenUp: boolean;
  fromPosition: number;
  toPosition: number;
}

/** A ring comes or goes; a ring that goes is drained first. */
export type LogThreadMessage =
  | { type: 'attach'; key: number; ring: SharedArrayBuffer }
  | { type: 'detach'; key: number };

export type LogThreadReport =
  | { type: 'ready'; recovery: RecoveryReport; floor: number; lost: readonly Lost[]; logId: string; dataFile: string }
  | { type: 'failed'; error: WireError }
  | { type: 'poisoned'; cause: string }
  | { type: 'disk'; isFull: boolean }
  | ({ type: 'retention' } & RetentionNews)
  | { type: 'detached'; key: number };
