// `openEventStore` and `eventReader`, which load their work when they are called: every import of the package comes by here.
import type { AnyAggregate } from '../model/aggregate.ts';
import type { EventReader } from '../model/event-reader.ts';
import type { StoreOptions } from './adapter.ts';
import type { ReadingOptions, ReadOnlyEventStore } from './read-only.ts';

/**
 * Open the event store for reading only, without a runtime.
 *
 * ```ts
 * await using store = await openEventStore(options); // what the store's own function returns, as for `createRuntime`
 * for await (const event of store.query({ type: 'CallRouted' })) console.log(event.data);
 * ```
 * @throws InvalidOptions, StoreUnavailable, StoreAccessDenied, StoreSchemaMissing, StoreSchemaNewer, StoreSchemaMismatch
 */
export async function openEventStore(options: StoreOptions, reading: ReadingOptions = {}): Promise<ReadOnlyEventStore> {
  return (await import('./read-only.ts')).openReadOnly(options, reading);
}

/**
 * Read stored events that come from elsewhere than a runtime or `openEventStore`, as an archive, a tail or a user's sink, by
 * definitions. Events of other aggregates stay as they are stored.
 *
 * ```ts
 * const today = await eventReader([Customer]);
 * for await (const stored of readArchive(file)) for (const event of today(stored)) console.log(event.type, event.data);
 * ```
 * @throws InvalidOptions
 */
export async function eventReader(aggregates: readonly AnyAggregate[]): Promise<EventReader> {
  return (await import('../model/event-reader.ts')).makeEventReader(aggregates);
}
