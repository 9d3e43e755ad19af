// What has made a runtime useless, once something has: from then on nothing new is acknowledged. Host thread.
import type { TrunklineError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

export class RuntimeFailure {
  private readonly logger: Logger;
  private readonly whenFailed: (error: TrunklineError) => void;
  private first: TrunklineError | undefined;

  /** `whenFailed`: what waits for an answer gets the error as one. */
  constructor(logger: Logger, whenFailed: (error: TrunklineError) => void) {
    this.logger = logger;
    this.whenFailed = whenFailed;
  }

  /** The first error counts; others follow from it. */
  get error(): TrunklineError | undefined {
    return this.first;
  }

  fail(error: TrunklineError): void {
    if (this.first) return;
    this.first = error;
    this.logger.error({ err: error }, 'the runtime has failed; close it and start again');
    this.whenFailed(error);
  }
}
