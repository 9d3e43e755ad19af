// Private memory of asynchronous commands, kept for the next ones. What a peak of them took, or a large one, is given back.
// Owned by a shard.
import { StagedGroup } from '../shared/ring/group.ts';

const countLimit = 256;
const bytesLimit = 16 << 10; // of one

export class IdleStages {
  private readonly idle: StagedGroup[] = [];
  private readonly groupLimit: number;

  constructor(groupLimit: number) {
    this.groupLimit = groupLimit;
  }

  get count(): number {
    return this.idle.length;
  }

  take(): StagedGroup {
    return this.idle.pop() ?? new StagedGroup(this.groupLimit);
  }

  giveBack(stage: StagedGroup): void {
    stage.clear();
    if (this.idle.length < countLimit && stage.frames.bytes.length <= bytesLimit) this.idle.push(stage);
  }
}
