// stub until the next step
import type { StoredEvent } from '../event.ts';
import type { Levels } from '../log/levels.ts';
import type { LogSource } from '../log/log.ts';
import type { EmbeddedStore } from './lmdb/embedded.ts';
export interface EventQuery {
  type?: string;
}
export class History {
  constructor(_store: EmbeddedStore, _log: LogSource, _levels: Levels) {}
  async *events(_query: EventQuery): AsyncIterableIterator<StoredEvent> {}
  async close(): Promise<void> {}
}
