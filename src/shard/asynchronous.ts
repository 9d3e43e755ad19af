// Commands whose function has returned a promise. Such a command gives the ring back to others: its frames move to a stage, and
// come into the ring again when it has ended. Owned by a shard's thread.
//
// Invariants: what one of them raises reaches the ring only behind its end; once abandoned, none publishes anything.
import { TrunklineError } from '../base/errors.ts';
import type { StagedGroup } from '../shared/ring/group.ts';
import type { RingProducer } from '../shared/ring/producer.ts';
import type { Actor } from './actor.ts';
import type { Endings } from './endings.ts';
import type { Execution } from './execution.ts';
import { IdleStages } from './idle-stages.ts';

export interface AsynchronousEvents {
  /** One of the actor's commands has ended. */
  ended(actor: Actor): void;
  /** An exception that is not the command's. */
  unexpected(execution: Execution, error: unknown): void;
  /** What went wrong in one of the above. */
  failed(error: unknown): void;
}

export class AsynchronousCommands {
  /** The runtime waits for none any longer. */
  isAbandoned = false;
  private readonly ring: RingProducer;
  private readonly endings: Endings;
  private readonly events: AsynchronousEvents;
  private readonly bySlot = new Map<number, Execution>();
  private readonly idleStages: IdleStages;

  constructor(ring: RingProducer, endings: Endings, groupLimit: number, events: AsynchronousEvents) {
    this.ring = ring;
    this.endings = endings;
    this.idleStages = new IdleStages(groupLimit);
    this.events = events;
  }

  begin(execution: Execution, result: Promise<unknown>): void {
    const stage = this.idleStages.take();
    stage.copyFrom(this.ring);
    this.ring.abandon();
    execution.continueIn(stage);
    this.bySlot.set(execution.command.slot, execution);
    result
      .then(
        (value) => this.resume(execution, stage, () => this.endings.succeed(execution, value)),
        (error) => this.resume(execution, stage, () => this.endings.fail(execution, error)),
      )
      .catch((error) => this.events.failed(error));
  }

  private resume(execution: Execution, stage: StagedGroup, settle: () => void): void {
    if (this.isAbandoned) return;
    this.bySlot.delete(execution.command.slot);
    try {
      if (this.takeStage(execution, stage)) settle();
    } catch (error) {
      this.events.unexpected(execution, error);
    }
    this.events.ended(execution.actor);
  }

  /** The command's frames move into the ring; if there is no room, and it may not wait for some, it fails. */
  private takeStage(execution: Execution, stage: StagedGroup): boolean {
    try {
      this.ring.copyFrom(stage);
      return true;
    } catch (error) {
      this.endings.fail(execution, error);
      return false;
    } finally {
      this.idleStages.giveBack(stage);
    }
  }

  /** The caller has given up. */
  cancel(slot: number): void {
    this.bySlot.get(slot)?.giveUp(new TrunklineError('Aborted', { executed: 'unknown' }));
  }

  /** Those in progress learn it, and publish nothing more. */
  abandon(): void {
    this.isAbandoned = true;
    for (const execution of this.bySlot.values()) {
      execution.end();
      execution.giveUp(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    }
    this.bySlot.clear();
  }
}
