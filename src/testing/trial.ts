// What a test asks of a command that it has tried: what it came to, and what follows as virtual time moves on.

import { checkDelay } from '../base/checks.ts';
import { isThenable } from '../base/thenable.ts';
import { check, isErrorClass } from './check.ts';
import type { Call } from './command-run.ts';
import type { Expected, GivenOptions, Outcome } from './contract.ts';
import { type CameTo, courseOfCommand, courseOfTimers, type Moment } from './course.ts';

export const tried = <A>(from: Moment, call: Call, options: GivenOptions): Trial<A> =>
  new Trial(courseOfCommand<A>(from, call, options), options);

class Trial<A> {
  /** A promise never rejects: a failure is an outcome, whether a test looks at it or not. */
  private readonly cameTo: CameTo<A> | Promise<CameTo<A>>;
  private readonly options: GivenOptions;

  constructor(cameTo: CameTo<A> | Promise<CameTo<A>>, options: GivenOptions) {
    this.cameTo = cameTo;
    this.options = options;
  }

  // biome-ignore lint/suspicious/noThenProperty: reads as given, when, then; and may be awaited
  then(expected: Expected<A> | ((outcome: Outcome<A>) => unknown), reject?: (error: unknown) => unknown): unknown {
    if (typeof expected === 'function' && !isErrorClass(expected)) return this.outcome().then(expected, reject);
    const { cameTo } = this;
    return isThenable(cameTo) ? cameTo.then((settled) => check(expected, settled)) : check(expected, cameTo);
  }

  async outcome(): Promise<Outcome<A>> {
    const { failure, outcome } = await this.cameTo;
    if (failure !== undefined) throw failure.error;
    return outcome;
  }

  after(delayMs: number): Trial<A> {
    checkDelay('delayMs', delayMs);
    const { cameTo, options } = this;
    const next = (from: CameTo<A>): CameTo<A> | Promise<CameTo<A>> => courseOfTimers(from, delayMs, options);
    return new Trial(isThenable(cameTo) ? cameTo.then(next) : next(cameTo), options);
  }
}
