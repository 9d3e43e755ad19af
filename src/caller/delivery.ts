// One message on its way to its target: attempts with a pause between them, until it has an outcome or there is no point in
// further attempts. Caller's thread.
//
// Three kinds of failure. Pushed back (a full mailbox, a store that is away): nobody's fault, tried for as long as patience
// lasts. Thrown by the target's code: tried again a few times. The shard died under it: suspected, and tried again alone,
// so that what kills shards is found and what was there by chance is not blamed.
import { setTimeout as pause } from 'node:timers/promises';
import { isError, Rejected } from '../errors.ts';
import type { Message, MessageFailure } from '../message.ts';
import type { MessageSettings } from '../message-options.ts';
import { messageKeyPrefix } from '../receipt.ts';
import type { Caller } from './caller.ts';
import { answerOf } from './replies.ts';
import type { Suspects } from './suspects.ts';
import type { Answer } from './unconfirmed.ts';

export type DeliveryEnd =
  /** No answer: what is in the log says so. */
  | { kind: 'done'; answer: Answer | undefined }
  | { kind: 'refused'; error: unknown; answer: Answer | undefined }
  | ({ kind: 'failed' } & MessageFailure)
  /** The runtime stops, or has failed: the next start delivers it. */
  | { kind: 'stopped' };

/** What all deliveries of a runtime share. */
export interface DeliveryParts {
  caller: Pick<Caller, 'sendNamed' | 'closed'>;
  settings: MessageSettings;
  stopped: AbortSignal;
  /** A message has been pushed back for so long that somebody should know. */
  onHeldUp(message: Message, error: unknown): void;
  suspects: Suspects;
}

const pushedBack = [
  ...(['RingFull', 'MailboxFull', 'TooManyInFlight', 'LogFull', 'TooManyUnstored', 'NotExecuted'] as const),
  ...([
    'StoreUnavailable',
    'StoreUnsuitable',
    'StoreAccessDenied',
    'StoreSchemaMissing',
    'StoreSchemaAltered',
  ] as const),
];
const pushedBackMs = 5;
const pushedBackMsLimit = 1_000;
const heldUpMs = 60_000; // one word a minute
/** So often a shard may die under a message that is delivered alone. */
const deathsLimit = 2;

/** Resolves when the message has an outcome that is in the log, when it is given up, or on `stopped` between two attempts. */
export async function deliver(
  message: Message,
  parts: DeliveryParts,
  stopped: AbortSignal = parts.stopped,
): Promise<DeliveryEnd> {
  const { caller, settings, suspects } = parts;
  const { retry, patienceMs } = settings;
  const input = [message.inputJson, message.metadataJson] as const;
  const options = { isInternal: true, ack: 'written', idempotencyKey: `${messageKeyPrefix}${message.id}` } as const;
  const attempt = async (): Promise<Answer> =>
    (await caller.sendNamed(message.aggregateType, message.command, message.aggregateId, ...input, options)) as Answer;
  const began = performance.now();
  let toldAt = began;
  let pauseMs = pushedBackMs;
  let attempts = 0;
  let deaths = 0;
  let isSuspect = false;
  for (;;) {
    if (stopped.aborted || caller.closed) return { kind: 'stopped' };
    let isCharged = false;
    const charge = (): void => {
      isCharged = true;
    };
    try {
      return { kind: 'done', answer: await (isSuspect ? suspects.alone(attempt, charge) : attempt()) };
    } catch (error) {
      if (error instanceof Rejected) return { kind: 'refused', error, answer: answerOf(error) };
      if (stopped.aborted || caller.closed) return { kind: 'stopped' };
      let waitMs: number;
      if (isError(error, 'OutcomeUnknown')) {
        attempts++;
        if (isCharged && ++deaths >= deathsLimit) return { kind: 'failed', error, attempts };
        isSuspect = true;
        waitMs = pushedBackMs;
      } else if (pushedBack.some((code) => isError(error, code))) {
        const now = performance.now();
        if (now - began >= patienceMs) return { kind: 'failed', error, attempts };
        if (now - toldAt >= heldUpMs) {
          toldAt = now;
          parts.onHeldUp(message, error);
        }
        waitMs = pauseMs;
        pauseMs = Math.min(2 * pauseMs, pushedBackMsLimit);
      } else {
        if (++attempts >= retry.attempts) return { kind: 'failed', error, attempts };
        waitMs = Math.min(retry.maxDelayMs, retry.minDelayMs * retry.factor ** (attempts - 1));
      }
      await pause(waitMs * (0.5 + Math.random() / 2), undefined, { signal: stopped }).catch(() => {});
    }
  }
}
