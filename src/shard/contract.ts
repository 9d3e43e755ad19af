// The contract between the host thread and a shard's: what a shard is started with, what it reports, how an answer to a
// question travels, and which shard an aggregate belongs to.

import type { MessagePort } from 'node:worker_threads';
import { anything, object, optional, type Shape } from '../base/json.ts';
import type { WireError } from '../base/wire-error.ts';
import { wireError } from '../base/wire-error.ts';
import type { StoreDescription } from '../store/adapter.ts';
import type { LocalDescription } from '../store/local.ts';

/** What a shard is started with. */
export interface ShardData {
  index: number;
  /** Each aggregate type in the caller's order, with its commands there in theirs: both travel by number. */
  types: { name: string; storedType: string; module: string; commands: string[] }[];
  context: string | undefined;
  moduleRoots: readonly string[] | undefined;
  commandRing: SharedArrayBuffer;
  eventRing: SharedArrayBuffer;
  controlBlock: SharedArrayBuffer;
  /** runtime → shard: null messages wake it in its event loop */
  wakePort: MessagePort;
  /** shard → runtime: reports, and null messages that wake the host thread */
  outbox: MessagePort;
  /** What this machine knows of aggregates. */
  local: LocalDescription;
  logFolder: string;
  logId: string;
  mapBytes: number;
  groupLimit: number;
  actorLimit: number;
  actorIdleMs: number;
  mailboxLimit: number;
  idempotencyTtlMs: number;
  askDeadlineMs: number;
  shards: number;
  /** The store, if it is not here. */
  store?: StoreDescription | undefined;
}

export type ShardReport =
  /** a module of the user's, which may hold the thread */
  | { type: 'importing'; module: string }
  | { type: 'ready' }
  | { type: 'warning'; message: string; details: Record<string, unknown> }
  /** `isShort`: for want of what threads and files need */
  | { type: 'failed'; error: WireError; isShort: boolean }
  /** the thread is about to end */
  | { type: 'dying'; cause: string }
  /** the last one of a shard that has failed or died: nothing of ours is open there any more, its thread may be ended */
  | { type: 'over' };

/** An answer as it travels: the data of the answer group's only frame. */
export interface Answer {
  value?: unknown;
  error?: WireError;
}

export const answerShape: Shape<Answer> = object<Answer>({ value: anything, error: optional(wireError) });

/** The shard of an aggregate: stable across restarts and releases (FNV-1a over type and id). */
export function shardOf(type: string, id: string, shards: number): number {
  if (shards === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < type.length; i++) hash = Math.imul(hash ^ type.charCodeAt(i), 0x01000193);
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % shards;
}
