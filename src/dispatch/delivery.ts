// The delivery of one message to its target: attempts with a pause between them, until it has an outcome or there is no point in
// further attempts. Host thread.
//
// Three kinds of failure. Pushed back (a full mailbox, a store that does not answer): not the message's fault, tried again for
// `patienceMs`. Thrown by the target's code: tried again a few times. The shard died under it: suspected, and tried again alone,
// so that what kills shards is found and what was there by chance is not blamed.
import { backoffMs, jittered } from '../base/backoff.ts';
import { performance } from '../base/clock.ts';
import { isError, Rejected, type TrunklineError } from '../base/errors.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { fromWire } from '../base/wire-error.ts';
import type { MessageSettings } from '../model/message-options.ts';
import { type Level, messageKey } from '../model/receipt.ts';
import type { Message, MessageFailure } from '../wire/message.ts';
import { timerName } from '../wire/timer.ts';
import type { NamedSender } from './named-sender.ts';
import type { CarriedOut } from './outcomes.ts';
import { answerOf } from './replies.ts';
import type { Suspects } from './suspects.ts';
import type { Answer } from './unconfirmed.ts';

export type DeliveryEnd =
  /** No answer: what is in the log says so. */
  | { kind: 'done'; answer: Answer | undefined }
  | { kind: 'refused'; error: unknown; answer: Answer | undefined }
  | ({ kind: 'failed' } & MessageFailure)
  /** `mayBegin` has said no: there are others to be delivered before it. */
  | { kind: 'held' }
  /** The runtime stops, or has failed: the next start delivers it. */
  | { kind: 'stopped' };

/** Sends messages to their targets: the caller. */
export interface MessageSender extends NamedSender {
  /** Why nothing is sent any more, if so. */
  readonly closed: TrunklineError | undefined;
  /** Where the store is elsewhere it may refuse an outcome that is written. */
  readonly progress: { readonly isStoreElsewhere: boolean };
  /** Resolves when the position has come to the level; without a bound. */
  reached(level: Level, position: number): Promise<void>;
}

/** What all deliveries of a runtime share. */
export interface DeliveryParts {
  sender: MessageSender;
  settings: MessageSettings;
  /** A message has been pushed back for a minute (again each minute), or its outcome in the last run cannot be confirmed. */
  onHeldUp(message: Message, error: unknown): void;
  suspects: Suspects;
  /** Messages of the last run that have outcomes in the log; see `LastRun`. Each is asked for once. */
  carriedOut: Pick<CarriedOut, 'has' | 'get' | 'delete'>;
}

const pushedBack = [
  ...(['RingFull', 'MailboxFull', 'TooManyInFlight', 'LogFull', 'TooManyUnstored', 'NotExecuted'] as const),
  ...([
    'StoreUnavailable',
    'StoreTooSlow',
    'StoreUnsuitable',
    'StoreAccessDenied',
    'StoreSchemaMissing',
    'StoreSchemaNewer',
    'StoreSchemaMismatch',
    'StoreSchemaUnsafe',
  ] as const),
];
const pushedBackPauses = { minMs: 5, maxMs: 1_000 };
const heldUpMs = 60_000; // one report a minute
/** A message is given up when so many shards have died under it while it was delivered alone. */
const deathsLimit = 2;

const askAgainMs = 1_000;

/**
 * Resolves when the message has an outcome that is in the log, when it is given up, or on `stopped` between two attempts.
 * `onOutcome`: see `NamedSendOptions`. `mayBegin` is asked before each attempt.
 *
 * What the last run has carried out is done, whatever its target would say now: among the dead letters it would be carried
 * out once more, after its outcome is gone. Where the store is elsewhere the target is asked all the same, again and again:
 * the store may have refused that outcome.
 */
export async function deliver(
  message: Message,
  parts: DeliveryParts,
  stopped: AbortSignal,
  onOutcome: (position: number) => void,
  mayBegin: () => boolean,
): Promise<DeliveryEnd> {
  const { carriedOut, sender } = parts;
  const { id } = message;
  if (carriedOut.has(id) && !sender.progress.isStoreElsewhere) {
    const error = carriedOut.get(id);
    carriedOut.delete(id);
    return error ? { kind: 'refused', error: fromWire(error), answer: undefined } : { kind: 'done', answer: undefined };
  }
  for (;;) {
    const end = await attempts(message, parts, stopped, onOutcome, mayBegin);
    if (end.kind !== 'failed' || !carriedOut.has(id)) {
      if (end.kind !== 'stopped' && end.kind !== 'held') carriedOut.delete(id);
      return end;
    }
    parts.onHeldUp(message, end.error);
    await pauseUnless(stopped, askAgainMs);
  }
}

async function attempts(
  message: Message,
  parts: DeliveryParts,
  stopped: AbortSignal,
  onOutcome: (position: number) => void,
  mayBegin: () => boolean,
): Promise<DeliveryEnd> {
  const { sender, settings, suspects } = parts;
  const { retry, patienceMs } = settings;
  const input = [message.inputJson, message.metadataJson] as const;
  const idempotencyKey = messageKey(message.id, timerName(message));
  const options = { isInternal: true, ack: 'written', idempotencyKey, onOutcome } as const;
  let isHeld = false;
  const attempt = async (): Promise<Answer | undefined> => {
    isHeld = !mayBegin();
    if (isHeld) return undefined;
    const { aggregateType, aggregateId, command } = message;
    return (await sender.sendNamed(aggregateType, command, aggregateId, ...input, options)) as Answer;
  };
  const began = performance.now();
  let toldAt = began;
  let timesPushedBack = 0;
  let attempts = 0;
  let deaths = 0;
  let isSuspect = false;
  for (;;) {
    if (stopped.aborted || sender.closed) return { kind: 'stopped' };
    let isCharged = false;
    const charge = (): void => {
      isCharged = true;
    };
    try {
      const answer = await (isSuspect ? suspects.alone(attempt, charge) : attempt());
      return isHeld ? { kind: 'held' } : { kind: 'done', answer };
    } catch (error) {
      if (error instanceof Rejected) return { kind: 'refused', error, answer: answerOf(error) };
      if (stopped.aborted || sender.closed) return { kind: 'stopped' };
      let waitMs: number;
      if (isError(error, 'OutcomeUnknown')) {
        attempts++;
        if (isCharged && ++deaths >= deathsLimit) return { kind: 'failed', error, attempts };
        isSuspect = true;
        waitMs = pushedBackPauses.minMs;
      } else if (pushedBack.some((code) => isError(error, code))) {
        const now = performance.now();
        if (now - began >= patienceMs) return { kind: 'failed', error, attempts };
        if (now - toldAt >= heldUpMs) {
          toldAt = now;
          parts.onHeldUp(message, error);
        }
        waitMs = backoffMs(++timesPushedBack, pushedBackPauses);
      } else {
        if (++attempts >= retry.attempts) return { kind: 'failed', error, attempts };
        const { minDelayMs: minMs, maxDelayMs: maxMs, factor } = retry;
        waitMs = backoffMs(attempts, { minMs, maxMs, factor });
      }
      await pauseUnless(stopped, jittered(waitMs));
    }
  }
}
