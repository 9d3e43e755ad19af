// The store in the data directory, as the runtime takes it. It is there with every store: it keeps the events, or, where they
// are kept elsewhere, what this machine needs to go on without asking there (a local cache). Shards load from it synchronously,
// and idempotency keys are found in it.
//
// Like a store elsewhere (adapter.ts) it is the URL of a module, which each thread imports for its part.

import type { Batch, Sink } from '../log/sink.ts';
import type { ControlBlockWriter } from '../shared/control-block.ts';
import type { EventArchive, FrameArchive, Head, PagedStore, StoreReader } from './store.ts';

/** The local store as threads get it; survives structured cloning. */
export interface LocalDescription {
  /** File URL; its default export is the {@link LocalStore}. */
  readonly module: string;
  readonly folder: string;
}

export interface LocalSinkSettings {
  /** The first position that the log still has, or will give out next; what lies before it can be in the store alone. */
  logBegins?: number;
  /** There has been such a store before: a local cache, too, is not made again from a log that does not reach back. */
  hasBegun?: boolean | undefined;
  /** Those of the runtime: the sink publishes the clock of keys there, and reads how far messages are done. */
  control?: ControlBlockWriter<'flush'>;
  /** Write a local cache: the store is elsewhere, and has come to `storedPosition()`. */
  cache?: { storedPosition(): number; blockLimit?: number };
}

export interface LocalSink extends Sink {
  write(batch: Batch): void;
  /** In a local cache: another log has written these aggregates. */
  loseOwnership(aggregates: Iterable<{ type: string; id: string }>): void;
}

/** What a shard reads. */
export interface LocalReader extends StoreReader {
  /** Where an event lies in the log; 0: it is not here. */
  positionOf(type: string, id: string, version: number): number;
  /** When this store was made, milliseconds since 1970: from then on it knows of everything. */
  readonly since: number;
}

/** What the host thread reads. */
export interface LocalArchive extends EventArchive, FrameArchive, PagedStore {
  /** As in {@link LocalReader}. */
  readonly since: number;
  /** Sees the newest commit; undefined: no such aggregate, or in a local cache one that another log has written. */
  localHead(type: string, id: string): Head | undefined;
  close(): Promise<void>;
}

/** What each thread gets. */
export interface LocalStore {
  /** Flush thread. */
  openSink(folder: string, logId: string, settings: LocalSinkSettings): Promise<LocalSink>;
  /** Shard threads. The flush thread has opened the store for writing before. */
  openReader(folder: string): Promise<LocalReader>;
  /** Host thread; likewise. @throws StoreDamaged */
  openArchive(folder: string): Promise<LocalArchive>;
}
