// What passes through the handler of one subscription. Owned by the host thread.

import type { DeadLetterRecord } from '../dead-letters/parked-sequences.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Turn } from '../wire/care.ts';
import type { Outcome } from './outcome.ts';
import type { Pending, Tracker } from './tracker.ts';

/** One event, one letter, or one attempt beside the checkpoint. */
export interface Work {
  event: StoredEvent;
  pending: Pending | undefined;
  /** Where it is pending. */
  tracker?: Tracker;
  letter?: DeadLetterRecord;
  /** One attempt, whatever becomes of it; nothing is marked as done. */
  once?: 'dry run' | 'replay';
  /** It was open at a start after the process had ended in the middle. */
  turn?: Turn | undefined;
  /** Called with how a letter, or an attempt beside the checkpoint, fared. */
  told?: (outcome: Outcome) => void;
}

/** A user has asked for it, and waits for how it fares: a letter once more, or an attempt beside the checkpoint. */
export const isAsked = ({ letter, once }: Work): boolean => letter !== undefined || once !== undefined;

/** It is handed over by itself, never in a batch: the same, and what needs care. */
export const isAlone = (work: Work): boolean => isAsked(work) || work.turn !== undefined;
