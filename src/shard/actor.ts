// An actor: one live aggregate in a shard, and its type as the shard runs it. Owned by the shard's thread.

import { TrunklineError } from '../base/errors.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { namesOf } from '../model/aggregate-names.ts';
import type { Reducer } from './evolve.ts';
import type { LatestTimers } from './latest-timers.ts';
import type { Mailbox } from './mailbox.ts';

/** An aggregate type as a shard runs it. */
export interface ActorType {
  readonly index: number;
  readonly definition: AnyAggregate;
  /** As it is stored; errors tell the definition's. */
  readonly name: string;
  readonly commandNames: readonly string[];
  /** In the same order: commands travel by number. */
  readonly commands: readonly ((...all: any[]) => unknown)[];
  readonly reducers: ReadonlyMap<string, Reducer>;
  readonly fingerprint: string;
}

/** The store has refused events of an actor; see `fencing.ts`. */
export interface Fence {
  readonly number: number;
  /** The version of the first event that was refused. */
  readonly version: number;
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
  /** undefined: its commands have said nothing of timers since it was loaded. */
  timers: LatestTimers | undefined;
  older: Actor | undefined;
  newer: Actor | undefined;

  /** A command of it has said which timers wait by now; see `LatestTimers`. */
  noteTimers(said: ReadonlyMap<string, string>, published: number, begin: () => LatestTimers): void {
    this.timers ??= begin();
    this.timers.note(said, published);
  }

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
  const type = types.find((known) => namesOf(known.definition).includes(name));
  if (type) return type.definition;
  const known = types.map(({ definition }) => definition.name);
  throw new TrunklineError('UnknownAggregateType', { aggregateType: name, known });
}
