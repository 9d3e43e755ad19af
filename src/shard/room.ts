// Whether a shard may take on a command that adds to what it must keep until the store has it: an actor that is not here
// yet, the outcome of a command with a key. Where the store is slower than the commands, these would otherwise grow for as
// long as that lasts. Owned by a shard.
import { type ControlBlock, Signal } from '../shared/control-block.ts';
import { hurrySync } from '../shared/log-signals.ts';
import type { Actor, ActorType } from './actor.ts';
import type { ActorCache } from './actor-cache.ts';
import type { Command } from './command.ts';
import type { OutcomeCache } from './outcome-cache.ts';

/** While the store is behind, so many actors or outcomes more than the limit: what one commit of the store takes. */
const spareOf = (limit: number): number => Math.max(64, limit >> 3);
const looksMost = 8; // at the oldest actors, for one that may leave

export class Room {
  readonly limit: number;
  private readonly actorCache: ActorCache;
  private readonly outcomeCache: OutcomeCache;
  private readonly control: ControlBlock;
  private readonly most: number;

  /** `limit`: actors at rest, and outcomes. */
  constructor(actorCache: ActorCache, outcomeCache: OutcomeCache, control: ControlBlock, limit: number) {
    this.actorCache = actorCache;
    this.outcomeCache = outcomeCache;
    this.control = control;
    this.limit = limit;
    this.most = limit + spareOf(limit);
  }

  /**
   * Whether the command may begin before the store has come nearer. `busy` actors cannot leave, and are not counted: what
   * they wait for may need an actor that is to come.
   */
  isFor(type: ActorType, { id, key }: Command, busy: number, now: number, storedBytes: number): boolean {
    const { actorCache, outcomeCache, control, most } = this;
    const isForOutcome = key === '' || outcomeCache.count < most;
    if (isForOutcome) {
      if (actorCache.count - busy < most || actorCache.get(type, id) !== undefined) return true;
      actorCache.passivate(now, storedBytes, looksMost);
      if (actorCache.count - busy < most) return true;
    }
    // Once nothing becomes stored any more, or the runtime ends, there is nothing to wait for.
    if (control.isPoisoned || control.flag(Signal.stopping) !== 0) return true;
    hurrySync(control);
    return false;
  }

  /** A read may have brought an actor for which there is no room: it leaves again, unless something keeps it. */
  letGo(actor: Actor, storedBytes: number): void {
    if (this.actorCache.count <= this.most || actor.mailbox !== undefined) return;
    if (actor.lastPublished <= storedBytes && actor.timers?.mayGo() !== false) this.actorCache.remove(actor);
  }
}
