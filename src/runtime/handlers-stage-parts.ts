// What the handler stage needs of its surroundings; the runtime's stages give it.
import type { LaneControl } from '../dead-letters/message-letters.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import type { StoreOptions } from '../store/adapter.ts';
import type { History } from '../store/history.ts';
import type { MessageCounts } from '../wire/message.ts';
import type { ResolvedOptions } from './options.ts';

export interface StageParts {
  folder: string;
  logId: string;
  /** undefined: what handlers keep is in `folder`. */
  store: StoreOptions | undefined;
  options: ResolvedOptions['handlers'];
  /** How long a call of a user's waits. */
  waitTimeoutMs: number;
  moduleRoots?: readonly string[] | undefined;
  /** How long a handler's module may take to load. */
  moduleMs: number;
  history: History;
  control: ControlBlock;
  definitions: ReadonlyMap<string, AnyAggregate>;
  logger: ResolvedOptions['logger'];
  progress: {
    /** Call it whenever more is synced, from now on. */
    follow(onSynced: () => void): void;
  };
  runtimeHasFailed(): boolean;
  /** The deliveries of messages; they begin when there are shards. */
  lanes: LaneControl;
  /** Of this run. */
  messageCounts(): MessageCounts;
}
