// A circuit breaker before reads: once the server has failed a few times running, callers get the error at once, and one in a
// while is let through to see.
import { Circuit } from '../../../base/circuit.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { isStoreAway } from '../../../base/store-away.ts';
import { failure, storeName } from './failure.ts';
import { isHeldUp } from './sqlstate.ts';

const failuresToOpen = 3;
const pauseMs = 500;

/** Runs reads; errors come in our words. @throws StoreUnavailable */
export type Guard = <T>(read: () => Promise<T>) => Promise<T>;

export function guard(schema: string): Guard {
  const circuit = new Circuit(failuresToOpen, pauseMs);
  let probe: Promise<void> | undefined;
  return async (read) => {
    while (probe) await probe; // it decides for those that come meanwhile, too
    const isProbe = circuit.probe();
    if (!isProbe && circuit.state !== 'closed') {
      throw new TrunklineError('StoreUnavailable', { store: storeName, cause: 'it has not answered lately' });
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    if (isProbe) probe = promise;
    let isAway = false;
    let isKnown = true;
    try {
      return await read();
    } catch (error) {
      const told = failure(error, schema);
      isAway = isStoreAway(told) && !isHeldUp(told);
      isKnown = isAway;
      throw told;
    } finally {
      if (isProbe) {
        circuit.decide(isAway);
        probe = undefined;
        resolve();
      } else if (isKnown) circuit.ended(isAway);
    }
  };
}
