// Changes of tables that follow from what the tables hold. One comes after the other, so that what one has read still holds when it
// stages; and each is durable before it resolves. Only what it stages is waited for by the next one. Host thread.
import { pause } from '../base/clock.ts';
import { isError } from '../base/errors.ts';
import type { StateTables } from './handler-state.ts';

/** After a commit that has failed permanently. */
const lookAgainMs = 1_000;

export class SerialChanges {
  private readonly tables: Pick<StateTables, 'durable'>;
  private changing: Promise<unknown> = Promise.resolve();

  constructor(tables: Pick<StateTables, 'durable'>) {
    this.tables = tables;
  }

  /** @throws StoreUnavailable, RuntimeClosed */
  async durably<T>(work: () => Promise<T>): Promise<T> {
    const result = await this.staged(work);
    await this.tables.durable();
    return result;
  }

  /** The same for a change without which its owner cannot go on. @throws RuntimeClosed */
  async durablyInTheEnd<T>(work: () => Promise<T>): Promise<T> {
    const result = await this.staged(work);
    for (;;) {
      try {
        await this.tables.durable();
        return result;
      } catch (error) {
        if (isError(error, 'RuntimeClosed')) throw error;
        await pause(lookAgainMs); // it has been reported, and is staged still
      }
    }
  }

  private staged<T>(work: () => Promise<T>): Promise<T> {
    const staged = this.changing.then(work);
    this.changing = staged.catch(() => {});
    return staged;
  }
}
