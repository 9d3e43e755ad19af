// Puts a flush policy into force: at the start, and each time that it changes. Host thread.
import type { Dispatch } from '../dispatch/dispatch.ts';
import type { FlushPolicy } from '../log/policy.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';
import { countOpening } from '../shared/log-signals.ts';

export function flushBy(flush: FlushPolicy, control: ControlBlockWriter<'host'>, dispatch: Dispatch): void {
  control.setFlag(Signal.syncIntervalMs, flush.syncIntervalMs);
  control.setFlag(Signal.syncBytes, flush.syncBytes);
  control.setFlag(Signal.batchBytes, flush.batchBytes);
  control.setFlag(Signal.spinMicros, flush.spinMicros);
  control.setFlag(Signal.rejectsWhenFull, flush.whenFull === 'reject' ? 1 : 0);
  dispatch.dispatcher.changeWhenFull(flush.whenFull);
  // What waits for room in the log may not have to, by the new policy.
  countOpening(control);
  if (dispatch.inFlight.channels.length > 0) dispatch.turn();
}
