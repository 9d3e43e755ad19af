// What the flush thread is given, and what it and the host thread say to each other.
import type { MessagePort } from 'node:worker_threads';
import type { WireError } from '../base/wire-error.ts';
import type { Lost } from '../log/losses.ts';
import type { EventDeclaration } from '../model/event.ts';
import type { StoreDescription } from '../store/adapter.ts';
import type { LocalDescription } from '../store/local.ts';
import type { RefusedEvent } from '../store/store.ts';
import type { FlusherStatus } from './flush.ts';
import type { SinkOptions, StreamOptions } from './sink-options.ts';

export interface FlushThreadData {
  controlBlock: SharedArrayBuffer;
  logFolder: string;
  mapBytes: number;
  /** Where the store lies, or its local cache if it is elsewhere. */
  local: LocalDescription;
  dataDir: string;
  logId: string;
  /** Positions that recoveries have given up. */
  lost: readonly Lost[];
  /** The directory has had a store, or a local cache, before. */
  hasBegun?: boolean | undefined;
  sinks: readonly SinkOptions[];
  moduleRoots?: readonly string[] | undefined;
  /** The store is there; `local` is its local cache. */
  store?: StoreDescription | undefined;
  /** The sink whose checkpoint is the level `published`. */
  stream: StreamOptions | undefined;
  /** What the runtime's aggregates declare, for sinks that want to know. */
  events: readonly EventDeclaration[];
  /** How long a module of the user's may take to make its sink; default 60,000. */
  moduleMs?: number;
  /** How long a user's sink may take for its last batches, milliseconds; default 10,000. */
  stopGraceMs?: number;
  /** sync thread → flush thread: null messages */
  syncPort: MessagePort;
  /** flush thread → runtime: null messages */
  hostPort: MessagePort;
}

/** What the runtime may ask; null means only: look again. */
export type FlushThreadRequest =
  | { type: 'status' }
  /** a change of one sink's settings while running; answered by `configured` with the same number */
  | { type: 'configure'; name: string; change: unknown; number: number }
  | null;

export type SinkStatus = Omit<FlusherStatus, 'lastError'> & { lastError: WireError | undefined };

export type FlushThreadReport =
  /** the store is open, and every sink has been tried once; the checkpoints of those that are open */
  | { type: 'ready'; checkpoints: Record<string, number> }
  | { type: 'failed'; error: WireError }
  /** a module of the user's runs, which may hold the thread; again and again, until it is ready */
  | { type: 'starting'; what: string; module: string }
  /** `retryInMs` undefined: the sink has stopped; what it still needs stays in the log */
  | { type: 'quarantined'; refused: readonly RefusedEvent[]; isNews: boolean }
  | { type: 'sink-error'; name: string; error: WireError; retryInMs: number | undefined }
  /** something that did not stop it */
  | { type: 'sink-report'; name: string; error: WireError }
  /** so many events were passed over; the first of them by name */
  | { type: 'set-aside'; name: string; count: number; errors: readonly WireError[] }
  | { type: 'configured'; number: number; error: WireError | undefined }
  | { type: 'status'; sinks: Record<string, SinkStatus> };
