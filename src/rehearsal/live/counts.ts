// What has become of the commands of a rehearsal so far.

import type { Judged, LeftOut, LiveRehearsalStatus } from './contract.ts';

export class Counts {
  private commands = 0;
  private different = 0;
  private ignored = 0;
  private errors = 0;
  private withoutState = 0;
  private notExecuted = 0;

  add({ verdict, isError }: Judged): void {
    if (verdict === 'no state') this.withoutState++;
    else if (verdict === 'not executed') this.notExecuted++;
    else {
      this.commands++;
      if (verdict === 'different') this.different++;
      if (verdict === 'ignored') this.ignored++;
      if (isError) this.errors++;
    }
  }

  get compared(): Pick<LiveRehearsalStatus, 'commands' | 'different' | 'ignored' | 'errors'> {
    const { commands, different, ignored, errors } = this;
    return { commands, different, ignored, errors };
  }

  get leftOut(): Pick<LeftOut, 'state' | 'notExecuted'> {
    return { state: this.withoutState, notExecuted: this.notExecuted };
  }
}
