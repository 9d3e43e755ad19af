// All lanes, and what their messages take of memory: a message comes into memory where its lane and all together have room for
// it, else its position does, and the message when its turn comes. Host thread.
import { type Address, type LetterBox, laneOf, type Message, targetOf } from '../wire/message.ts';
import { type Held, heapBytesOf } from './held.ts';
import type { Holds } from './holds.ts';
import { Lane } from './lane.ts';
import type { LastRun } from './last-run.ts';
import { Later } from './later.ts';
import type { Holder, Open, Watch } from './relief.ts';

const refillMost = 64;

export class Lanes {
  private readonly lanes = new Map<string, Lane>();
  private readonly holds: Holds<Holder>;
  private readonly held: Held;
  private lastRun: LastRun | undefined;
  private box: LetterBox | undefined;

  constructor(holds: Holds<Holder>, held: Held) {
    this.holds = holds;
    this.held = held;
  }

  begin(lastRun: LastRun, box: LetterBox): void {
    this.lastRun = lastRun;
    this.box = box;
  }

  private outcomeOf({ id }: Message): number | undefined {
    return this.lastRun!.carriedOut.positionOf(id);
  }

  get(key: string): Lane {
    const lane = this.lanes.get(key) ?? new Lane(key);
    this.lanes.set(key, lane);
    return lane;
  }

  /** Its run has ended. */
  ended(lane: Lane): void {
    if (lane.isEmpty) this.lanes.delete(lane.key);
  }

  /**
   * `isKept`: it waits in the box; else the log has it. `isDone`: it has an outcome that no store can refuse, and waits for
   * nothing. `watch`: who has given it, and gives no other of its lane before it has ended.
   */
  take(message: Message, isKept: boolean, isDone: boolean, watch?: Watch): Lane {
    const lane = this.get(laneOf(message));
    if (watch !== undefined || isDone || !lane.isFull(this.held.isNarrow))
      return lane.line(this.open(message, isKept, watch));
    lane.later ??= new Later(this.holds, this.held);
    lane.later.push(message.position, isKept, this.outcomeOf(message));
    return lane;
  }

  /** The log keeps the outcome also when the message leaves it for the box. */
  private open(message: Message, isKept: boolean, watch?: Watch): Open {
    const open: Open = { message, hold: undefined, outcome: undefined, isKept, isEnding: false, isVoid: false, watch };
    if (!isKept) open.hold = this.holds.add(message.position, open);
    const outcome = this.outcomeOf(message);
    if (outcome !== undefined) open.outcome = this.holds.add(outcome);
    this.held.take(heapBytesOf(message));
    return open;
  }

  /** Nothing of the lane is in memory: its next messages come there. */
  async refill(lane: Lane): Promise<true> {
    const most = this.held.isNarrow ? 1 : refillMost;
    await lane.later!.load(this.lastRun!.log, this.box!, most, ({ message, isKept }) => {
      lane.line(this.open(message, isKept));
    });
    return true;
  }

  /** The lanes of these targets begin nothing new. */
  hold(targets: readonly Address[]): void {
    if (this.lanes.size === 0) return;
    const ends = new Set(targets.map(({ aggregateType, aggregateId }) => `${aggregateType}\0${aggregateId}\0`));
    for (const lane of this.lanes.values()) if (ends.has(targetOf(lane.key))) lane.hold();
  }
}
