// What the store has refused in an earlier run, which may have ended before its shards answered for it. The news of it comes
// while the runtime starts, and can be passed on once there are shards. Host thread.
import type { LogSource } from '../log/log.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { type Refused, unanswered } from './fences.ts';

export class EarlierRefusals {
  private readonly control: ControlBlock;
  private readonly fence: (refused: readonly Refused[]) => void;
  private readonly waiting: Refused[] = [];
  private log: LogSource | undefined;

  constructor(control: ControlBlock, fence: (refused: readonly Refused[]) => void) {
    this.control = control;
    this.fence = fence;
  }

  add(refused: readonly Refused[]): void {
    this.waiting.push(...refused);
    this.pass();
  }

  /** There are shards. */
  begin(log: LogSource): void {
    this.log = log;
    this.pass();
  }

  private pass(): void {
    if (this.log === undefined) return;
    this.fence(unanswered(this.waiting.splice(0), this.log, this.control.position('written')));
  }
}
