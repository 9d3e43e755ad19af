// Whether a shard may take on a command that adds to what it must keep until the store has it: an actor that is not here
// yet, the outcome of a command with a key. Where the store is slower than the commands, these would otherwise grow for as
// long as that lasts. Owned by a shard.
import { hurrySync, type Levels, LevelWord } from '../shared/levels.ts';
import type { Actor, ActorType } from './actor.ts';
import type { Command } from './command.ts';
import type { RememberedOutcomes } from './remembered.ts';
import type { Residents } from './residents.ts';

/** While the store is behind, so many actors or outcomes more than the limit: what one commit of the store takes. */
const spareOf = (limit: number): number => Math.max(64, limit >> 3);
const looksMost = 8; // at the oldest actors, for one that may leave

export class Room {
  readonly limit: number;
  private readonly residents: Residents;
  private readonly remembered: RememberedOutcomes;
  private readonly levels: Levels;
  private readonly most: number;

  /** `limit`: actors at rest, and outcomes. */
  constructor(residents: Residents, remembered: RememberedOutcomes, levels: Levels, limit: number) {
    this.residents = residents;
    this.remembered = remembered;
    this.levels = levels;
    this.limit = limit;
    this.most = limit + spareOf(limit);
  }

  /**
   * Whether the command may begin before the store has come nearer. `busy` actors cannot leave, and are not counted: what
   * they wait for may need an actor that is to come.
   */
  isFor(type: ActorType, { id, key }: Command, busy: number, now: number, storedBytes: number): boolean {
    const { residents, remembered, levels, most } = this;
    const isForOutcome = key === '' || remembered.count < most;
    if (isForOutcome) {
      if (residents.count - busy < most || residents.get(type, id) !== undefined) return true;
      residents.passivate(now, storedBytes, looksMost);
      if (residents.count - busy < most) return true;
    }
    // Once nothing becomes stored any more, or the runtime ends, there is nothing to wait for.
    if (levels.flag(LevelWord.poisoned) !== 0 || levels.flag(LevelWord.stopping) !== 0) return true;
    hurrySync(levels);
    return false;
  }

  /** A read may have brought an actor for which there is no room: it leaves again, unless something keeps it. */
  letGo(actor: Actor, storedBytes: number): void {
    if (this.residents.count <= this.most || actor.mailbox !== undefined) return;
    if (actor.lastPublished <= storedBytes) this.residents.remove(actor);
  }
}
