// The store of the handlers' state, opened when it is first needed. Owned by the host thread.
//
// Invariant: it is opened once, however many ask meanwhile; after an opening that has failed the next that asks tries again.
import type { HandlerStateStore } from './handler-state-store.ts';

export class LazyStore {
  private readonly openStore: () => Promise<HandlerStateStore>;
  private opening: Promise<HandlerStateStore> | undefined;
  private store: HandlerStateStore | undefined;

  constructor(openStore: () => Promise<HandlerStateStore>) {
    this.openStore = openStore;
  }

  /** It has been asked for. */
  get isOpen(): boolean {
    return this.opening !== undefined;
  }

  /** undefined: it is not open yet. */
  get current(): HandlerStateStore | undefined {
    return this.store;
  }

  async open(): Promise<HandlerStateStore> {
    this.opening ??= this.openStore();
    try {
      this.store = await this.opening;
      return this.store;
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await (await this.opening?.catch(() => undefined))?.close();
  }

  /** A commit in flight is broken off, where that is possible. */
  cut(): void {
    this.store?.cut?.();
  }
}
