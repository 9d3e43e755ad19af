// `inMemory()`: a store in memory, as tests of what every store has to do take it. Gone with the thread that made it.
import { type StoreDescription, StoreOptions } from '../../../src/store/adapter.ts';
import { Holder } from './holder.ts';

export class InMemoryStoreOptions extends StoreOptions {
  readonly name = 'in-memory';
  readonly holder: Holder = new Holder();

  get settings(): { channelName: string } {
    return { channelName: this.holder.channelName };
  }

  describe(): StoreDescription {
    return {
      name: this.name,
      module: new URL('./adapter.ts', import.meta.url).href,
      settings: this.settings,
      batch: { events: 1_000, bytes: 1 << 20, delayMs: 1 },
      statementTimeoutMs: 5_000,
      loadTimeoutMs: 5_000,
    };
  }
}

export const inMemory = (): InMemoryStoreOptions => new InMemoryStoreOptions();
