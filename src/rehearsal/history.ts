// Where the history is that two releases are compared on: the store of a data directory, whether its service runs or not, or a
// store elsewhere. Read only, and nothing in it changes.

import { join, resolve } from 'node:path';
import { BlockCache } from '../adapters/lmdb/store/block-cache.ts';
import { EmbeddedStore } from '../adapters/lmdb/store/embedded.ts';
import { isMadeBy } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { shown } from '../base/shown.ts';
import { inspectLog } from '../log/inspect.ts';
import { readOrigin } from '../runtime/directory.ts';
import { loadAdapter, StoreOptions, storeRule } from '../store/adapter.ts';
import type { FrameArchive } from '../store/store.ts';

/** Some 18,000 blocks: 400,000 events of 180 bytes. Memory is taken as it fills. */
const cacheBytes = 128 << 20;

/** Over a network, what several aggregates wait for is asked for at once. */
const atOnceElsewhere = 4;

export interface History {
  readonly archive: FrameArchive;
  /** How many aggregates may be read at a time. */
  readonly atOnce: number;
  /** Log positions that the embedded store has not taken yet. */
  readonly notStored: number;
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
    if (origin.holds === 'events') return embedded(resolve(dataDir));
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
  return { archive, atOnce: atOnceElsewhere, notStored: 0, close: () => archive.close() };
}

/** One at a time: its frames lie in one buffer. */
function embedded(dataDir: string): History {
  const written = inspectLog(join(dataDir, 'log'))?.lastPosition ?? 0; // first: the store may come after it meanwhile
  const archive = EmbeddedStore.open(join(dataDir, 'store'), new BlockCache(cacheBytes));
  const notStored = Math.max(0, written - archive.checkpoint());
  return { archive, atOnce: 1, notStored, close: () => archive.close() };
}

function refuse(option: string, reason: string, value?: unknown): never {
  throw new TrunklineError('InvalidOptions', { option, value: shown(value), reason });
}
