// A store outside of the data directory, as the runtime takes it: an adapter. To the runtime it is plain data and the URL of a
// module; each thread imports that module when it needs it, so a client library is loaded only where it is used.
//
// This file holds what the road of an event needs of an adapter. The outbox, the state of handlers and projections add what they
// need in files of their own (`outbox/outbox.ts`, `handler-state/state-adapter.ts`, `projections/projection-adapter.ts`); an adapter's
// module exports all of it as its default.
//
// Invariant: the log is the source. An adapter's sink has its checkpoint in the same transaction as its events, and a reader
// never returns less of an aggregate than an acknowledged flush has brought there.
import type { OpenHost } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { importUserModule } from '../base/user-module.ts';
import type { Sink } from '../log/sink.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import type { EventArchive, FrameArchive, PagedStore, RefusedEvent, RemoteReader, TransactionAppend } from './store.ts';

/** A store as threads get it; survives structured cloning. */
export interface StoreDescription {
  /** As error messages name it. */
  readonly name: string;
  /** File URL of the adapter's module; its default export is the adapter. */
  readonly module: string;
  /** The adapter's own. */
  readonly settings: unknown;
  /** What one transaction of the flush takes, at most; and how long the flusher waits for more. */
  readonly batch: { readonly events: number; readonly bytes: number; readonly delayMs: number };
  /** How long a statement may take, milliseconds. */
  readonly statementTimeoutMs: number;
  /** How long a load of an aggregate may take, milliseconds. */
  readonly loadTimeoutMs: number;
}

/** What is wrong with a `store` that is no {@link StoreOptions}. */
export const storeRule = "must be what a store's own function returns, and not its options alone";

/** What `store:` takes: made by an adapter's own function. Shows nothing of its connection. */
export abstract class StoreOptions {
  /** As error messages name the store. */
  abstract readonly name: string;
  /** For this thread. @internal */
  abstract readonly settings: unknown;

  /** Made again for each thread: a password's function is reached by its place. @internal */
  abstract describe(): StoreDescription;

  /** Machines that are reached without TLS, or unverified. @internal */
  openHosts(): readonly OpenHost[] {
    return [];
  }
}

/** What a sink of a store needs of the flush thread. */
interface StoreSinkParts {
  readonly logId: string;
  /** The first position that the log still keeps; 0 or 1: all of it. */
  readonly firstPosition: number;
  /** Whether nothing else reads the log: a stream, sinks. */
  readonly isLastReader: boolean;
  /** Committed: these were not taken. Not `isNews`: they were not in an earlier run, which may not have said so. */
  quarantined(refused: readonly RefusedEvent[], isNews: boolean): void | Promise<void>;
  /** Something that does not stop the flush. */
  report(error: TrunklineError): void;
}

/** What the host thread reads. */
export interface StoreArchive extends EventArchive, FrameArchive {
  /** Resolves when the store is there and can be read. @throws StoreUnavailable, and those of its schema */
  check(): Promise<void>;
  /** How the store contradicts that an aggregate was at this version when the log was at `position`; undefined: it does not. */
  otherThan(logId: string, type: string, id: string, version: number, position: number): Promise<string | undefined>;
  /** What one log has brought here, in that log's order. */
  historyOf(logId: string, control: ControlBlock): PagedStore;
  /** How many events could not be read, and were left out. */
  readonly unreadable?: number;
  close(): Promise<void>;
}

/** What the road of an event needs of a store. `settings`: of the description, or of the options in their own thread. */
export interface StoreAdapter {
  /** Flush thread. */
  openSink(settings: unknown, parts: StoreSinkParts): Promise<Sink>;
  /** Shard threads, and the host thread for entities: not shared between threads, opened when it is first asked. */
  openAggregateReader(settings: unknown, logId: string): Promise<RemoteReader>;
  /** Host thread. `report`: of an event that cannot be read, and is left out of what is read page by page. */
  openArchive(options: StoreOptions, report?: (error: TrunklineError) => void): Promise<StoreArchive>;
  /** Host thread; undefined where a user's transaction cannot take events. */
  openAppend?(settings: unknown): Promise<TransactionAppend>;
}

/** The adapter of a store, imported into this thread. @throws InvalidOptions */
export async function loadAdapter<Adapter = StoreAdapter>({
  module,
}: Pick<StoreDescription, 'module'>): Promise<Adapter> {
  const { default: adapter } = (await importUserModule(module)) as { default?: Adapter };
  if (typeof adapter === 'object' && adapter !== null) return adapter;
  throw new TrunklineError('InvalidOptions', {
    option: 'store',
    reason: `${module} exports no adapter as its default`,
  });
}
