// Live rehearsals of a release to come: nothing of them is loaded until `runtime.rehearse` asks for one.
import { TrunklineError } from '../base/errors.ts';
import type { LiveRehearsalOptions } from '../rehearsal/live/contract.ts';
import type { Rehearsals, RunningRehearsal } from '../rehearsal/live/rehearsals.ts';
import type { Given } from './given.ts';
import type { FlushStage } from './stage-flush.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';

export interface RehearsalsStage {
  rehearse(options: LiveRehearsalOptions): Promise<RunningRehearsal>;
}

export function openRehearsals(made: Given & HostStage & LogStage & FlushStage): RehearsalsStage {
  const { options, control, log, local, dispatch, shutdown } = made;
  const { aggregates, context, moduleRoots, store, logger } = options;
  const parts = {
    ...{ aggregates, context, moduleRoots, store, logger },
    moduleMs: options.starts.timeoutMs,
    groupLimit: options.flush.ringBytes / 2,
    place: { local, logId: log.logId, controlBlock: control.memory },
    taps: dispatch.taps,
  };
  let opened: Promise<Rehearsals> | undefined;
  shutdown.add('rehearsal', async () => (await opened)?.close());
  return {
    async rehearse(given) {
      if (shutdown.hasBegun) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
      opened ??= import('../rehearsal/live/rehearsals.ts').then(({ Rehearsals }) => new Rehearsals(parts));
      return (await opened).start(given);
    },
  };
}
