// What answers to commands need of the store. Commands can be sent before the store can be read: a question that comes earlier
// waits until the readers are open. Host thread.
import type { StoredEvent } from '../model/event.ts';
import type { LevelWait } from './receipt.ts';

export interface AnswerReader {
  /** Events of an aggregate from a version on, so many at most, once everything written is stored. */
  eventsFrom(type: string, id: string, version: number, count: number): Promise<StoredEvent[]>;
  /** Whether the store has what an answer without events rests on. @throws Quarantined, StoreUnavailable */
  readonly confirm: LevelWait['confirm'];
}

export class StoreAnswers implements AnswerReader {
  private readonly reader = Promise.withResolvers<AnswerReader>();

  /** The readers are open. */
  open(reader: AnswerReader): void {
    this.reader.resolve(reader);
  }

  async eventsFrom(type: string, id: string, version: number, count: number): Promise<StoredEvent[]> {
    return (await this.reader.promise).eventsFrom(type, id, version, count);
  }

  readonly confirm: LevelWait['confirm'] = async (basis) => (await this.reader.promise).confirm(basis);
}
