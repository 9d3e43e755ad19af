// The live actors of a shard, by type and id, and in the order in which they were last used. The least recently used
// leave when there are too many or when they had no command for long; but only once the store has what they raised,
// since it is from the store that they will come back.
import type { Actor, ActorType } from './actor.ts';

export class ActorCache {
  private readonly byType: Map<string, Actor>[];
  private readonly limit: number;
  private readonly idleMs: number;
  private oldest: Actor | undefined;
  private newest: Actor | undefined;
  count = 0;

  constructor(types: readonly ActorType[], limit: number, idleMs: number) {
    this.byType = types.map(() => new Map());
    this.limit = limit;
    this.idleMs = idleMs;
  }

  get(type: ActorType, id: string): Actor | undefined {
    return this.byType[type.index]!.get(id);
  }

  add(actor: Actor, now: number): void {
    this.byType[actor.type.index]!.set(actor.id, actor);
    this.count++;
    actor.usedAt = now;
    this.append(actor);
  }

  /** The actor is in use now. */
  touch(actor: Actor, now: number): void {
    actor.usedAt = now;
    this.requeue(actor);
  }

  /** Let go of the actors that may leave; looks at `most` candidates at most. `storedBytes`: see StoredHorizon. */
  passivate(now: number, storedBytes: number, most: number): void {
    let actor = this.oldest;
    for (let seen = 0; actor !== undefined && seen < most; seen++) {
      if (this.count <= this.limit && now - actor.usedAt < this.idleMs) return;
      const next: Actor | undefined = actor.newer;
      if (actor.mailbox === undefined && actor.lastPublished <= storedBytes && actor.timers?.mayGo() !== false)
        this.remove(actor);
      else this.requeue(actor); // it cannot leave yet, and must not stand before those who can
      actor = next;
    }
  }

  /** It is no more to be had here. */
  remove(actor: Actor): void {
    if (this.get(actor.type, actor.id) !== actor) return;
    this.unlink(actor);
    this.byType[actor.type.index]!.delete(actor.id);
    this.count--;
  }

  private requeue(actor: Actor): void {
    if (actor === this.newest) return;
    this.unlink(actor);
    this.append(actor);
  }

  private append(actor: Actor): void {
    actor.older = this.newest;
    actor.newer = undefined;
    if (this.newest === undefined) this.oldest = actor;
    else this.newest.newer = actor;
    this.newest = actor;
  }

  private unlink(actor: Actor): void {
    if (actor.older === undefined) this.oldest = actor.newer;
    else actor.older.newer = actor.newer;
    if (actor.newer === undefined) this.newest = actor.older;
    else actor.newer.older = actor.older;
  }
}
