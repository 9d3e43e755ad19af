// What a shard does when the store has refused events of one of its aggregates: the actor goes, and what it answered under
// idempotency keys since then is void. Both before any command that was sent later. Owned by a shard.
//
// A void outcome is one that has expired: a frame of its own in the log, so that whatever reads outcomes (the store here, a
// start's index of the tail) comes to the same. The last one has no key, and says that the shard has done so.

import { isError } from '../base/errors.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import { GroupKind } from '../shared/ring/ring.ts';
import type { FrameReader } from '../wire/frame.ts';
import type { Actor, ActorType, Fence } from './actor.ts';
import type { ActorCache } from './actor-cache.ts';
import type { Loader } from './loader.ts';
import { writeOutcome } from './outcome.ts';
import { OutcomeCache } from './outcome-cache.ts';
import type { Outgoing } from './outgoing.ts';

const keysAtOnce = 100;
const expired = { expiresAt: 0, events: 0 };

export class Fencing {
  private readonly types: readonly ActorType[];
  private readonly actorCache: ActorCache;
  private readonly outcomeCache: OutcomeCache;
  private readonly loader: Loader;
  private readonly outgoing: Outgoing;

  constructor(
    types: readonly ActorType[],
    actorCache: ActorCache,
    outcomeCache: OutcomeCache,
    loader: Loader,
    outgoing: Outgoing,
  ) {
    this.types = types;
    this.actorCache = actorCache;
    this.outcomeCache = outcomeCache;
    this.loader = loader;
    this.outgoing = outgoing;
  }

  /** A fence from the command ring. */
  take(commands: RingConsumer, frame: FrameReader): void {
    frame.at(commands.framesStart);
    const type = this.types[frame.schemaVersion]!;
    const id = frame.aggregateId;
    const fence: Fence = { number: commands.slot, version: frame.version };
    const actor = this.actorCache.get(type, id);
    // Loaded after everything that this log had to say was stored or refused: it is not the one.
    if (actor !== undefined && actor.settledPosition >= frame.occurredAt) {
      this.conclude(type, id, fence, actor.loadedVersion);
    } else if (actor?.mailbox) {
      actor.fence ??= fence;
    } else {
      if (actor) this.actorCache.remove(actor);
      this.conclude(type, id, fence);
    }
  }

  /** What the actor's commands waited for has ended. Whether it has gone now. */
  settled(actor: Actor): boolean {
    const { fence, type, id } = actor;
    if (fence === undefined) return false;
    actor.fence = undefined;
    this.actorCache.remove(actor);
    this.conclude(type, id, fence);
    return true;
  }

  /** Outcomes without events at the last version before: they may have been decided after another had gone on. */
  private keysWithoutEvents(type: string, id: string, version: number, below: number): string[] {
    const last = Math.min(version + 1, below);
    const keys = this.loader.outcomeKeys(type, id, version, last);
    for (const key of this.outcomeCache.keysOf(type, id, version, last)) keys.add(key);
    return [...keys].filter((key) => {
      const cached = this.outcomeCache.get(OutcomeCache.key(type, id, key));
      try {
        const found = cached ?? this.loader.outcome(type, id, key);
        return found?.version === version && found.outcome.events === 0;
      } catch (error) {
        if (isError(error, 'RecordInvalid')) return false;
        throw error;
      }
    });
  }

  private conclude(type: ActorType, id: string, { number, version }: Fence, below = Number.POSITIVE_INFINITY): void {
    const keys = this.loader.outcomeKeys(type.name, id, version, below);
    for (const key of this.outcomeCache.keysOf(type.name, id, version, below)) keys.add(key);
    for (const key of this.keysWithoutEvents(type.name, id, version - 1, below)) keys.add(key);
    keys.delete('');
    const all = [...keys, ''];
    const { ring } = this.outgoing;
    for (let first = 0; first < all.length; first += keysAtOnce) {
      const some = all.slice(first, first + keysAtOnce);
      this.outgoing.owed(() => {
        for (const key of some) writeOutcome(ring, type.name, id, key, version, expired);
        const isLast = first + keysAtOnce >= all.length;
        ring.publish(GroupKind.fenced, 0, isLast ? number : 0, 0, '');
        for (const key of some) {
          const name = OutcomeCache.key(type.name, id, key);
          this.outcomeCache.add(name, { version, outcome: expired }, ring.published);
        }
      });
    }
    this.outgoing.asked(); // the caller waits for the last group
  }
}
