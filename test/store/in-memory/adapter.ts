// The adapter of the store in memory: what each thread of a runtime gets of it.
import type { Batch, Sink } from '../../../src/log/sink.ts';
import type { StoreAdapter } from '../../../src/store/adapter.ts';
import type { RefusedEvent, RemoteAggregate, RemoteReader } from '../../../src/store/store.ts';
import { InMemoryArchive } from './archive.ts';
import { Asker } from './asker.ts';
import type { Found, Looked } from './holder.ts';
import type { InMemoryStoreOptions } from './options.ts';

class InMemorySink implements Sink {
  readonly takesParts = true;
  private readonly asker: Asker;
  private readonly logId: string;
  private readonly quarantined: (refused: readonly RefusedEvent[], isNews: boolean) => void | Promise<void>;

  constructor(asker: Asker, logId: string, quarantined: InMemorySink['quarantined']) {
    this.asker = asker;
    this.logId = logId;
    this.quarantined = quarantined;
  }

  open(): Promise<number> {
    return this.asker.ask('checkpoint', this.logId);
  }

  async write({ fromPosition, toPosition, bytes }: Batch): Promise<number> {
    const copy = Uint8Array.prototype.slice.call(bytes);
    const { checkpoint, refused } = await this.asker.ask('append', this.logId, fromPosition, toPosition, copy);
    if (refused.length > 0) await this.quarantined(refused, true);
    return checkpoint;
  }

  close(): void {
    this.asker.close();
  }
}

class InMemoryReader implements RemoteReader {
  private readonly asker: Asker;
  private readonly logId: string;

  constructor(asker: Asker, logId: string) {
    this.asker = asker;
    this.logId = logId;
  }

  async owner(type: string, id: string): Promise<'nobody' | 'this log' | 'another'> {
    const owner = await this.asker.ask('owner', type, id);
    if (owner === undefined) return 'nobody';
    return owner === this.logId ? 'this log' : 'another';
  }

  async look(type: string, id: string, _fingerprint: string, after: number): Promise<Looked | undefined> {
    return this.shown(await this.asker.ask('look', type, id, after));
  }

  async load(type: string, id: string, _fingerprint: string, after: number): Promise<RemoteAggregate | undefined> {
    return this.shown(await this.asker.ask('take', this.logId, type, id, after));
  }

  private shown(found: Found | undefined): Looked | undefined {
    if (found === undefined) return undefined;
    const { version, owner, frames } = found;
    const isOwn = owner === this.logId;
    return { version, snapshot: undefined, frames: Buffer.concat(frames), eventCount: frames.length, isOwn };
  }

  async close(): Promise<void> {
    this.asker.close();
  }
}

const asker = (settings: unknown): Asker => new Asker((settings as { channelName: string }).channelName);

const adapter: StoreAdapter = {
  openSink: async (settings, { logId, quarantined }) => new InMemorySink(asker(settings), logId, quarantined),
  openAggregateReader: async (settings, logId) => new InMemoryReader(asker(settings), logId),
  openArchive: async (options) => new InMemoryArchive((options as InMemoryStoreOptions).holder),
};

export default adapter;
