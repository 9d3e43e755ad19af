// Care after an end in the middle. A message or an event that is open at a start may be what has ended the process, and would
// end it at every start. So it is executed behind a durable mark: the start after finds the mark, and knows what was in hand.
// What has ended the process too often is not executed again; it fails, with `ProcessEnded`. The contract; see
// `handler-state/in-hand.ts`.
import { TrunklineError } from '../base/errors.ts';
import type { MessageFailure } from './message.ts';

export interface Care {
  /** undefined: it was not open at a start after such an end, and goes on as usual. */
  of(owner: string, id: string, position: number): Turn | undefined;
}

/** The execution of one message or event. */
export interface Turn {
  /** How often the process has ended while it was executed, as far as nothing else is the reason. */
  readonly deaths: number;
  /** Resolves when it may be executed and its mark is durable; or, without a mark, when the signal aborts. Never rejects. */
  begin(signal: AbortSignal): Promise<void>;
  /** It has been executed, and what came of it is durable. */
  end(): void;
  /** It is left to another run. */
  leave(): void;
}

/** The owner of messages; those of events are their subscriptions. */
export const messagesOwner = '\u0001messages';

export const carefree: Care = { of: () => undefined };

/** An end from outside may meet something that is in hand by chance: once is not enough. */
const deathsLeast = 2;

/** Why it is not executed again; undefined: it is. `attempts`: how many its owner makes where something fails. */
export function spent(turn: Turn, what: string, attempts: number): MessageFailure | undefined {
  const { deaths } = turn;
  if (deaths < Math.max(deathsLeast, attempts)) return undefined;
  return { error: new TrunklineError('ProcessEnded', { what, times: deaths }), attempts: deaths };
}
