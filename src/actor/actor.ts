// The contract of the actor stage: what an actor is, and what the caller and a shard say to each other.
import type { MessagePort } from 'node:worker_threads';
import type { AnyAggregate } from '../aggregate.ts';
import { TrunklineError, type WireError } from '../errors.ts';
import type { StoreDescription } from '../store/adapter.ts';
import type { Reducer } from './evolve.ts';
import type { Fence } from './fencing.ts';
import type { Mailbox } from './mailbox.ts';

/** An aggregate type as a shard runs it. */
export interface ActorType {
  readonly index: number;
  readonly definition: AnyAggregate;
  readonly name: string;
  readonly commandNames: readonly string[];
  /** In the same order: commands travel by number. */
  readonly commands: readonly ((...all: any[]) => unknown)[];
  readonly reducers: ReadonlyMap<string, Reducer>;
  readonly fingerprint: string;
}

/** One live aggregate. Lean on purpose: 100,000 idle ones may live in a shard. */
export class Actor {
  readonly type: ActorType;
  readonly id: string;
  state: unknown;
  version: number;
  /** The next snapshot is due `every` versions after this one: that of the last one taken, unless some were left out. */
  snapshotVersion: number;
  /** Snapshots that were due and left out since the last one was taken. */
  snapshotsLeftOut = 0;
  /** Bytes that the shard's ring had published when this actor last said something: tells when the store has it. */
  lastPublished = 0;
  usedAt = 0;
  /** Commands that wait while an asynchronous one runs; undefined while none does. */
  mailbox: Mailbox | undefined;
  /** The store has refused events of it: it leaves as soon as nothing runs, and is loaded again. */
  fence: Fence | undefined;
  /** It was loaded after everything up to here was stored or refused; -1: from what this machine knew. */
  settledPosition = -1;
  /** Its version when it was loaded from elsewhere. */
  loadedVersion = 0;
  older: Actor | undefined;
  newer: Actor | undefined;

  constructor(type: ActorType, id: string, state: unknown, version: number, snapshotVersion: number) {
    this.type = type;
    this.id = id;
    this.state = state;
    this.version = version;
    this.snapshotVersion = snapshotVersion;
  }
}

/** @throws UnknownAggregateType */
export function definitionOf(types: readonly ActorType[], name: string): AnyAggregate {
  const type = types.find((known) => known.name === name);
  if (type) return type.definition;
  throw new TrunklineError('UnknownAggregateType', { aggregateType: name, known: types.map((t) => t.name) });
}

/** What a shard is started with. */
export interface ShardData {
  index: number;
  /** Each aggregate type in the caller's order, with its commands there in theirs: both travel by number. */
  types: { name: string; module: string; commands: string[] }[];
  context: string | undefined;
  moduleRoots: readonly string[] | undefined;
  commandRing: SharedArrayBuffer;
  eventRing: SharedArrayBuffer;
  levels: SharedArrayBuffer;
  /** runtime → shard: null messages wake it in its event loop */
  bell: MessagePort;
  /** shard → runtime: reports, and null messages as the caller's bell */
  outbox: MessagePort;
  storeFolder: string;
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
  | { type: 'failed'; error: WireError }
  /** the thread is about to end */
  | { type: 'dying'; cause: string }
  /** the last one of a shard that has failed or died: nothing of ours is open there any more, its thread may be ended */
  | { type: 'over' };

/** An answer as it travels: the data of the answer group's only frame. */
export interface Answer {
  value?: unknown;
  error?: WireError;
}

/** The shard of an aggregate: stable across restarts and releases (FNV-1a over type and id). */
export function shardOf(type: string, id: string, shards: number): number {
  if (shards === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < type.length; i++) hash = Math.imul(hash ^ type.charCodeAt(i), 0x01000193);
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % shards;
}
