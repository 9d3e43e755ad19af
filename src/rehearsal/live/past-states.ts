// An aggregate as it was at a version, folded by the release to come, from what is stored. Reads only: unlike a load of a shard it
// takes no aggregate over from another log. Rehearsal thread.

import { TrunklineError } from '../../base/errors.ts';
import { userJson } from '../../base/json.ts';
import type { ActorType } from '../../shard/actor.ts';
import type { ShardData } from '../../shard/contract.ts';
import { evolveFrame } from '../../shard/evolve.ts';
import { freezeState } from '../../shard/frozen.ts';
import { loadAdapter } from '../../store/adapter.ts';
import type { LocalReader, LocalStore } from '../../store/local.ts';
import type { LoadedAggregate, RemoteReader } from '../../store/store.ts';
import { FrameReader } from '../../wire/frame.ts';

/** Where aggregates are. */
export type StoredPlace = Pick<ShardData, 'local' | 'store' | 'logId'>;

export interface Folded {
  readonly state: unknown;
  readonly version: number;
}

/** No snapshot has it. */
const noFingerprint = '';

export class PastStates {
  private readonly local: LocalReader;
  private readonly remote: RemoteReader | undefined;

  private constructor(local: LocalReader, remote: RemoteReader | undefined) {
    this.local = local;
    this.remote = remote;
  }

  static async open({ local, store, logId }: StoredPlace): Promise<PastStates> {
    const { openReader } = await loadAdapter<LocalStore>(local);
    const remote = store && (await (await loadAdapter(store)).openAggregateReader(store.settings, logId));
    return new PastStates(await openReader(local.folder), remote);
  }

  /**
   * undefined: the store has not all of its events up to there.
   * @throws UpcastFailed, UnknownEventType, what a reducer throws; StoreUnavailable, VersionGap
   */
  async at(type: ActorType, id: string, version: number): Promise<Folded | undefined> {
    return this.here(type, id, version) ?? (await this.elsewhere(type, id, version));
  }

  /** In the embedded store, or in the local cache beside another one, where that reaches back. */
  private here(type: ActorType, id: string, version: number): Folded | undefined {
    for (const fingerprint of [type.fingerprint, noFingerprint]) {
      const loaded = this.local.load(type.name, id, fingerprint);
      if (loaded === undefined || loaded.isOwnershipLost) return undefined;
      const { snapshot, base, frames } = loaded;
      if (base !== (snapshot?.version ?? 0)) return undefined;
      if (base > version) continue; // the snapshot is of a later version
      const fold = new Fold(type, id, snapshot);
      for (const frame of frames) if (!fold.take(frame, version)) break;
      return fold.at(version);
    }
    return undefined;
  }

  private async elsewhere(type: ActorType, id: string, version: number): Promise<Folded | undefined> {
    if (this.remote === undefined) return undefined;
    const fold = new Fold(type, id, undefined);
    while (fold.version < version) {
      const page = await this.remote.look(type.name, id, noFingerprint, fold.version);
      if (page === undefined || page.eventCount === 0) return undefined;
      const frame = new FrameReader(page.frames);
      for (let i = 0, at = 0; i < page.eventCount; i++, at = frame.next) {
        frame.at(at);
        if (!fold.take(frame, version)) break;
      }
    }
    return fold.at(version);
  }

  async close(): Promise<void> {
    await this.remote?.close();
    await this.local.close();
  }
}

class Fold {
  private applied: number;
  private state: unknown;
  private readonly type: ActorType;
  private readonly id: string;

  constructor(type: ActorType, id: string, snapshot: LoadedAggregate['snapshot']) {
    this.type = type;
    this.id = id;
    this.applied = snapshot?.version ?? 0;
    this.state = snapshot === undefined ? type.definition.state() : userJson(snapshot.stateJson);
  }

  /** Of the last event that it has taken. */
  get version(): number {
    return this.applied;
  }

  /** False: it is behind that version. */
  take(frame: FrameReader, last: number): boolean {
    if (frame.version > last) return false;
    const { type, id, version } = this;
    const [expectedVersion, foundVersion] = [version + 1, frame.version];
    if (foundVersion !== expectedVersion) {
      const { name: aggregateType } = type.definition;
      throw new TrunklineError('VersionGap', { aggregateType, aggregateId: id, expectedVersion, foundVersion });
    }
    this.state = evolveFrame(type.definition, this.state, frame, id);
    this.applied = foundVersion;
    return true;
  }

  at(version: number): Folded | undefined {
    return this.version === version ? { state: freezeState(this.state), version } : undefined;
  }
}
