// Live rehearsals of a release to come: nothing of them runs until `runtime.rehearse` asks for one.
import { Rehearsals } from '../rehearsal/live/rehearsals.ts';
import type { Given } from './given.ts';
import type { FlushStage } from './stage-flush.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';

export interface RehearsalsStage {
  readonly rehearsals: Rehearsals;
}

export function openRehearsals(made: Given & HostStage & LogStage & FlushStage): RehearsalsStage {
  const { options, control, log, local, dispatch, shutdown } = made;
  const { aggregates, context, moduleRoots, store, logger } = options;
  const rehearsals = new Rehearsals({
    ...{ aggregates, context, moduleRoots, store, logger },
    moduleMs: options.starts.timeoutMs,
    groupLimit: options.flush.ringBytes / 2,
    place: { local, logId: log.logId, controlBlock: control.memory },
    taps: dispatch.taps,
  });
  shutdown.add('rehearsal', () => rehearsals.close());
  return { rehearsals };
}
