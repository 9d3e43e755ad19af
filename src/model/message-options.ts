// The options of messages between aggregates (`send`): how often a delivery is tried, and who hears of what failed.
import { checkFunction, checkInteger, invalid } from '../base/checks.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import type { Address } from '../wire/message.ts';

/** Pauses between the attempts of one message. */
export interface MessageRetryOptions {
  /** Attempts in all while the target throws, or ends the process (then at least 2), 1 to 1,000; default 5. */
  attempts?: number | undefined;
  /** Pause before the second attempt, milliseconds; default 100; multiplied by `factor` (2) each time. */
  minDelayMs?: number | undefined;
  factor?: number | undefined;
  /** Longest pause, milliseconds; default 30,000. */
  maxDelayMs?: number | undefined;
}

/** A message that was not carried out. */
export interface UndeliveredMessage {
  readonly id: string;
  /** undefined: an older release has sent it. */
  readonly sender: Address | undefined;
  readonly target: Address;
  readonly command: string;
  /**
   * `refused`: the target threw `Rejected`, an outcome, and the end of it. `dead letter`: its attempts are used up, or it waits
   * behind such a one; see `runtime.deadLetters.messages`.
   */
  readonly outcome: 'refused' | 'dead letter';
  /** undefined: it waits behind another. */
  readonly error: unknown;
}

/** How messages between aggregates (`send`) are delivered. */
export interface MessageOptions {
  retry?: MessageRetryOptions | undefined;
  /**
   * How long a message that is pushed back (a full mailbox, a store that is unavailable) is tried, milliseconds, 1,000 to 2^31-1;
   * default 3,600,000 (an hour). The log keeps it meanwhile; then it is a dead letter.
   */
  patienceMs?: number | undefined;
  /** From so many dead letters on further messages stay in the log and are tried on, 1 to 10,000,000; default 100,000. */
  deadLetterLimit?: number | undefined;
  /** Called for each message that is refused or becomes a dead letter. What it throws is logged. */
  onUndelivered?: ((message: UndeliveredMessage) => void) | undefined;
}

export interface MessageSettings {
  retry: Required<MessageRetryOptions>;
  patienceMs: number;
  deadLetterLimit: number;
  onUndelivered: (message: UndeliveredMessage) => void;
}

const fields = fieldsOf<MessageOptions>({ retry: true, patienceMs: true, deadLetterLimit: true, onUndelivered: true });
const retryFields = fieldsOf<MessageRetryOptions>({ attempts: true, minDelayMs: true, factor: true, maxDelayMs: true });
const timerLimitMs = 2 ** 31 - 1;

/** @throws InvalidOptions */
export function resolveMessages(options: MessageOptions = {}): MessageSettings {
  checkFields('messages', options, fields);
  const { retry = {}, patienceMs = 3_600_000, deadLetterLimit = 100_000, onUndelivered = () => {} } = options;
  checkFields('messages.retry', retry, retryFields);
  const { attempts = 5, minDelayMs = 100, factor = 2, maxDelayMs = 30_000 } = retry;
  if (!(typeof factor === 'number' && factor >= 1 && factor <= 100)) {
    invalid('messages.retry.factor', factor, 'must be a number from 1 to 100');
  }
  checkFunction('messages.onUndelivered', onUndelivered);
  return {
    retry: {
      attempts: checkInteger('messages.retry.attempts', attempts, 1, 1000),
      minDelayMs: checkInteger('messages.retry.minDelayMs', minDelayMs, 0, timerLimitMs),
      factor,
      maxDelayMs: checkInteger('messages.retry.maxDelayMs', maxDelayMs, 0, 2 ** 30),
    },
    patienceMs: checkInteger('messages.patienceMs', patienceMs, 1000, timerLimitMs),
    deadLetterLimit: checkInteger('messages.deadLetterLimit', deadLetterLimit, 1, 10_000_000),
    onUndelivered,
  };
}
