// `openEventStore`, which loads its work when it is called: every import of the package comes by here.
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
