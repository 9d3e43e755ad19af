// Until when deliveries are tried again. Owned by the host thread.
//
// Invariant: a hold ends the retries that there are, and not those that begin behind it; the end of the handler ends all, also what
// users have asked for.

import { TrunklineError } from '../base/errors.ts';
import type { Breaker } from './breaker.ts';

export class RetryStop {
  private readonly breaker: Breaker;
  private readonly ending = new AbortController();
  /** Made again each time it has aborted. */
  private holding = new AbortController();

  constructor(breaker: Breaker) {
    this.breaker = breaker;
  }

  /** Aborts when nothing is retried any more. */
  get ended(): AbortSignal {
    return this.ending.signal;
  }

  /** What ends the retries that begin now. `isAsked`: a user's request, which nothing but the end of the handler ends. */
  signal(isAsked: boolean): AbortSignal {
    return (isAsked ? this.ending : this.holding).signal;
  }

  /** Retry nothing from now on; what pauses is abandoned, what runs may end. */
  end(): void {
    this.ending.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    this.holding.abort(this.ending.signal.reason);
    this.breaker.close();
  }

  /** What waits to be tried again now is abandoned, what runs may end, and is not tried again; but not what users have asked for. */
  hold(): void {
    this.holding.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    if (!this.ending.signal.aborted) this.holding = new AbortController();
  }
}
