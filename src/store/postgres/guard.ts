// A circuit breaker before reads: once the server has failed a few times running, who asks is told at once, and one in a
// while is let through to see.
import { BrokenCircuitError, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { isStoreAway, TrunklineError } from '../../errors.ts';
import { codeOf, failure, storeName } from './failure.ts';

const failuresToOpen = 3;
const halfOpenAfterMs = 500;

/** Runs reads; errors come in our words. @throws StoreUnavailable */
export type Guard = <T>(read: () => Promise<T>) => Promise<T>;

export function guard(schema: string): Guard {
  const breaker = circuitBreaker(
    // A statement that the server itself has ended for its length says that the server is there.
    handleWhen((error) => isStoreAway(error) && codeOf((error as Error).cause) !== '57014'),
    { halfOpenAfter: halfOpenAfterMs, breaker: new ConsecutiveBreaker(failuresToOpen) },
  );
  return async (read) => {
    try {
      return await breaker.execute(async () => {
        try {
          return await read();
        } catch (error) {
          throw failure(error, schema);
        }
      });
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) throw error;
      throw new TrunklineError('StoreUnavailable', { store: storeName, cause: 'it has not answered lately' });
    }
  };
}
