// How several parts end, one after the other. Invariant: each part is ended, whatever became of those before it; what went
// wrong is gathered, and thrown once all of them have had their turn. So no failure keeps a thread, a timer or a lock. Any
// thread.
import { asError, TrunklineError } from './errors.ts';

export class StopSteps {
  private readonly failures: { readonly what: string; readonly error: Error }[] = [];
  private readonly onBegin: (what: string) => void;

  /** `onBegin`: called with each step as it begins. */
  constructor(onBegin: (what: string) => void = () => {}) {
    this.onBegin = onBegin;
  }

  /** Resolves when the work has ended, or has failed. Never rejects. */
  async take(what: string, work: () => unknown): Promise<void> {
    try {
      this.onBegin(what);
      await work();
    } catch (error) {
      this.failures.push({ what, error: asError(error) });
    }
  }

  /** After the last step. @throws InternalFault: which steps have failed, and why */
  end(): void {
    const { failures } = this;
    if (failures.length === 0) return;
    const where = `ending ${failures.map(({ what }) => what).join(', ')}`;
    const cause = failures.map(({ what, error }) => `${what}: ${error.message}`).join('; ');
    const errors = failures.map(({ error }) => error);
    throw new TrunklineError('InternalFault', { where, cause }, { cause: new AggregateError(errors, cause) });
  }
}
