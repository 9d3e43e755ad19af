// Places calls at a steady rate, however long each takes (an open loop, as callers do not wait for each other).
import type { Caller, CallRecord } from './caller.ts';
import { planCall } from './plan.ts';

export interface TrafficOptions {
  readonly caller: Caller;
  readonly callsPerSecond: number;
  /** Number of the first call: plans follow from it. */
  readonly firstCall: number;
  /** How many calls; without it, until the signal. */
  readonly calls?: number;
  readonly signal?: AbortSignal;
  readonly onRecord: (record: CallRecord) => void;
}

const turnMs = 5;

/** Resolves when every call that was placed has ended. */
export async function runTraffic(options: TrafficOptions): Promise<void> {
  const { caller, callsPerSecond, firstCall, calls = Number.POSITIVE_INFINITY, signal, onRecord } = options;
  const startedAt = performance.now();
  const underWay = new Set<Promise<void>>();
  for (let placed = 0; placed < calls && !signal?.aborted; ) {
    const due = Math.min(calls, ((performance.now() - startedAt) * callsPerSecond) / 1_000);
    for (; placed < due; placed++) {
      const call: Promise<void> = caller.place(planCall(firstCall + placed)).then((record) => {
        underWay.delete(call);
        onRecord(record);
      });
      underWay.add(call);
    }
    await new Promise((resolve) => setTimeout(resolve, turnMs));
  }
  await Promise.all(underWay);
}
