// Brings an actor to life: the store's snapshot, the events after it, and what is still in the log only.
import { TrunklineError } from '../errors.ts';
import type { FrameReader } from '../frame.ts';
import { eachFrame } from '../log/frames.ts';
import { Levels } from '../log/levels.ts';
import { openLogReader } from '../log/lmdb.ts';
import type { LogSource } from '../log/log.ts';
import { type EmbeddedReader, openEmbeddedReader } from '../store/lmdb/reader.ts';
import { Actor, type ActorType, type ShardData, shardOf } from './actor.ts';
import { evolveFrame } from './evolve.ts';
import { freezeState } from './frozen.ts';
import { type Remembered, RememberedOutcomes } from './remembered.ts';
import { TailIndex } from './tail-index.ts';

export class Loader {
  private readonly store: EmbeddedReader;
  private readonly levels: Levels;
  private log: LogSource | undefined;
  private tail: TailIndex | undefined;

  private constructor(data: ShardData, levels: Levels, log?: LogSource, tail?: TailIndex) {
    this.store = openEmbeddedReader(data.storeFolder);
    this.levels = levels;
    this.log = log;
    this.tail = tail;
  }

  static open(data: ShardData): Loader {
    const levels = new Levels(data.levels);
    const [stored, written] = [levels.position('stored'), levels.position('written')];
    if (stored >= written) return new Loader(data, levels);
    const log = openLogReader(data.logFolder, data.mapBytes);
    const isMine = (type: string, id: string): boolean => shardOf(type, id, data.shards) === data.index;
    return new Loader(data, levels, log, new TailIndex(log, stored + 1, written, isMine));
  }

  /** The actor as everything written so far makes it; a new one if nothing was. */
  load(type: ActorType, id: string): Actor {
    for (;;) {
      const tail = this.currentTail()?.positionsOf(type.name, id) ?? [];
      const stored = this.levels.position('stored');
      const actor = this.fromStore(type, id);
      // What the log has truncated meanwhile has come into the store meanwhile: then look there again.
      if (!tail.every((position) => position <= stored || this.apply(actor, position))) continue;
      freezeState(actor.state);
      return actor;
    }
  }

  /** The outcome of an earlier command with this idempotency key. */
  outcome(type: string, id: string, key: string): Remembered | undefined {
    const inTail = this.currentTail()?.outcome(RememberedOutcomes.key(type, id, key));
    return inTail ?? this.store.receipt(type, id, key);
  }

  private fromStore(type: ActorType, id: string): Actor {
    const loaded = this.store.load(type.name, id, type.fingerprint);
    if (loaded === undefined) return new Actor(type, id, type.definition.state(), 0, 0);
    const { snapshot } = loaded;
    const state = snapshot ? JSON.parse(snapshot.stateJson) : type.definition.state();
    const actor = new Actor(type, id, state, snapshot?.version ?? 0, snapshot?.version ?? 0);
    for (const frame of loaded.frames) this.evolve(actor, frame);
    return actor;
  }

  /** Evolve by one event of the log, unless the store has shown it already; false if the log has it no more. */
  private apply(actor: Actor, position: number): boolean {
    let found = false;
    eachFrame(this.log!, position, position, (frame) => {
      found = true;
      if (frame.version > actor.version) this.evolve(actor, frame);
    });
    return found;
  }

  private evolve(actor: Actor, frame: FrameReader): void {
    if (frame.version !== actor.version + 1) {
      const { type, id: aggregateId, version } = actor;
      const [expectedVersion, foundVersion] = [version + 1, frame.version];
      throw new TrunklineError('VersionGap', { aggregateType: type.name, aggregateId, expectedVersion, foundVersion });
    }
    actor.state = evolveFrame(actor.type.definition, actor.state, frame, actor.id);
    actor.version = frame.version;
  }

  private currentTail(): TailIndex | undefined {
    if (this.tail !== undefined && this.levels.position('stored') >= this.tail.lastPosition) {
      void this.tail.close();
      this.tail = undefined;
      this.log = undefined;
    }
    return this.tail;
  }

  async close(): Promise<void> {
    await this.tail?.close();
    await this.store.close();
  }
}
