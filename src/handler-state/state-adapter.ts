// What a store's adapter offers for the state of handlers: a place in the store for what they must keep, beside the events. Loaded
// where there is such a store. Owned by the host thread.
import { loadAdapter, type StoreOptions } from '../store/adapter.ts';
import type { HandlerStateStore } from './handler-state-store.ts';

/** Keeps the store informed how far those readers are whose checkpoints lie on this machine. */
export interface ReaderNotes {
  /** The same tables; their checkpoints are noted in the store as they are committed. */
  follow(tables: HandlerStateStore): Promise<HandlerStateStore>;
  close(): Promise<void>;
  /** Ends at once what it is doing. */
  cut(): void;
}

/** What the store keeps for one log beside the handlers' entries. */
export interface RemoteTraces {
  /** Readers that keep their checkpoints elsewhere, with the position that the store last heard of. */
  readers(): Promise<ReadonlyMap<string, number>>;
  /** Tables in which a projection's rows are being built. */
  built(projection: string): Promise<readonly string[]>;
  /** Those tables, and these readers, go. */
  remove(projection: string | undefined, readers: readonly string[]): Promise<void>;
  /** How long nothing has been heard of the log, milliseconds, by the server's clock; undefined: it is not known here. */
  silentMs(): Promise<number | undefined>;
}

/** `settings`: of the store's options. */
export interface RemoteHandlerState {
  /**
   * The kind of store, letters only: it names a file in the data directory that says where what handlers keep lies, and the
   * command line's option for such a store. It never changes.
   */
  readonly kind: string;
  /** `connections`: most transactions of handlers at a time. */
  tables(settings: unknown, logId: string, connections: number): HandlerStateStore;
  /** `onError`: once for each time that the store begins to fail. */
  readers(settings: unknown, logId: string, onError: (error: Error) => void): ReaderNotes;
  traces(settings: unknown, logId: string): RemoteTraces;
}

/** An adapter whose store keeps what handlers need; without it they keep it on this machine. */
export interface HandlerStateAdapter {
  openHandlerState(): Promise<RemoteHandlerState>;
}

/** undefined: the store keeps nothing of handlers. */
export async function loadHandlerState(store: StoreOptions): Promise<RemoteHandlerState | undefined> {
  const adapter = await loadAdapter<Partial<HandlerStateAdapter>>(store.describe());
  return adapter.openHandlerState?.();
}
