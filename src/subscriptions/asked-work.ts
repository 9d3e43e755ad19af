// What users ask of a subscription beside its events in their order: letters once more, and single attempts that move no checkpoint.
// Owned by the host thread.
//
// Invariant: it goes the way of the events, behind what is going on with its aggregate; the caller that has asked learns how it fared.
import { TrunklineError } from '../base/errors.ts';
import type { LetterHandler } from '../dead-letters/dead-letters.ts';
import { isPassedOver, type LetterError, letterError, letterEvent } from '../dead-letters/letters.ts';
import type { ParkedSequences } from '../dead-letters/parked-sequences.ts';
import { Requeues } from '../dead-letters/requeues.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Evolution } from '../model/evolution.ts';
import type { Turn } from '../wire/care.ts';
import type { HandlerCode } from './handler-code.ts';
import type { Outcome } from './outcome.ts';
import type { Work } from './work.ts';

export interface AskedWorkParts {
  readonly parked: ParkedSequences;
  readonly code: HandlerCode;
  readonly evolution: Evolution;
  isClosing(): boolean;
  turnOf(event: StoredEvent): Turn | undefined;
  /** Into the lane of its aggregate. */
  enter(work: Work): void;
  failed(error: unknown): void;
  broken(error: unknown): void;
}

export class AskedWork implements LetterHandler {
  readonly parked: ParkedSequences;
  readonly code: HandlerCode;
  private readonly parts: AskedWorkParts;
  private readonly requeues: Requeues;

  constructor(parts: AskedWorkParts) {
    this.parts = parts;
    this.parked = parts.parked;
    this.code = parts.code;
    this.requeues = new Requeues({
      parked: parts.parked,
      isClosing: () => parts.isClosing(),
      handle: async (letter) => {
        if (isPassedOver(letter.record, parts.evolution)) {
          this.parked.remove(letter); // as an event of its kind that comes by
          return true;
        }
        const event = letterEvent(letter.record, parts.evolution);
        return (await this.ask({ event, pending: undefined, letter, turn: parts.turnOf(event) })).kind === 'done';
      },
      failed: (error) => parts.failed(error),
      broken: (error) => parts.broken(error),
    });
  }

  /** Handle the letters of one aggregate again, in order, until one fails or none is left. Never rejects. */
  requeue(aggregate: string): Promise<void> {
    return this.requeues.run(aggregate);
  }

  /** One attempt that moves nothing; what it threw, if it did. @throws RuntimeClosed */
  async rehearse(event: StoredEvent): Promise<LetterError | undefined> {
    const outcome = await this.beside(event, 'dry run');
    return outcome.kind === 'failed' ? letterError(outcome.error) : undefined;
  }

  /** One attempt, behind what is going on with its aggregate, with its effects; whether it went well. @throws RuntimeClosed */
  async replay(event: StoredEvent): Promise<boolean> {
    return (await this.beside(event, 'replay')).kind === 'done';
  }

  private async beside(event: StoredEvent, once: 'dry run' | 'replay'): Promise<Outcome> {
    const outcome = await this.ask({ event, pending: undefined, once });
    if (outcome.kind === 'abandoned') throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    return outcome;
  }

  /** Start it; resolves with its result. */
  private ask(work: Work): Promise<Outcome> {
    return new Promise((told) => {
      this.parts.enter({ ...work, told });
    });
  }
}
