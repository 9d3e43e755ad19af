// Where the history is that two releases are compared on: the store of a data directory, whether its service runs or not, or a
// store elsewhere. Read only, and nothing in it changes.

import { join, resolve } from 'node:path';
import { EmbeddedStore } from '../adapters/lmdb/store/embedded.ts';
import { isMadeBy } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { shown } from '../base/shown.ts';
import { readOrigin } from '../runtime/directory.ts';
import { loadAdapter, StoreOptions, storeRule } from '../store/adapter.ts';
import type { FrameArchive } from '../store/store.ts';

export interface History extends FrameArchive {
  close(): Promise<void>;
}

export interface HistoryPlace {
  dataDir?: string | undefined;
  store?: StoreOptions | undefined;
}

/**
 * The directory says whether events are in it: then a store that is given as well counts for nothing.
 * @throws InvalidOptions, DataDirUnreadable, StoreDamaged, StoreUnavailable and those of the store's schema
 */
export async function openHistory({ dataDir, store }: HistoryPlace): Promise<History> {
  if (store !== undefined && !isMadeBy(StoreOptions, store)) refuse('store', storeRule, store);
  if (dataDir !== undefined) {
    const origin = readOrigin(dataDir);
    if (origin === undefined)
      throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
    if (origin.holds === 'events') return EmbeddedStore.open(join(resolve(dataDir), 'store'));
  }
  if (store === undefined) {
    const reason =
      dataDir === undefined
        ? 'is missing, and so is `dataDir`: one of them says where the history is'
        : 'is missing: the service of this directory keeps its events in that store';
    return refuse('store', reason);
  }
  const adapter = await loadAdapter(store.describe());
  const archive = await adapter.openArchive(store);
  try {
    await archive.check();
  } catch (error) {
    await archive.close();
    throw error;
  }
  return archive;
}

function refuse(option: string, reason: string, value?: unknown): never {
  throw new TrunklineError('InvalidOptions', { option, value: shown(value), reason });
}
