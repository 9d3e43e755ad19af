// One attempt, as the handler is handed it: its number, its signal, and the transaction that is made when it is asked for.
// Owned by the host thread.

import type { Running } from '../base/running.ts';
import { handledEntry } from '../handler-state/completion-records.ts';
import { effectKeyOf } from '../handler-state/effect-key.ts';
import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import { Effects } from '../handler-state/effects.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import type { Change } from '../handler-state/handler-state-store.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Evolution } from '../model/evolution.ts';
import type { Delivery } from './handlers.ts';
import type { SubscriptionSettings } from './settings.ts';

/** An event, or the events of a batch. */
export type Subject = StoredEvent | readonly StoredEvent[];

interface AttemptFields {
  readonly attempt: number;
  readonly subject: Subject;
  /** Beside the checkpoint: nothing says of a transaction of its own that the subject is handled. */
  readonly isBeside: boolean;
  readonly dryRun: boolean;
}

export class Attempt implements Delivery {
  readonly attempt: number;
  readonly dryRun: boolean;
  deadline = 0;
  /** Its call has begun: until then it waits for a thread, or for the end of an earlier call. */
  hasBegun = true;
  /** To be called when it begins later. */
  begun: () => void = () => {};
  /** It waits for a thread to call the handler: what ends before that is no failure of the event's. */
  isWaitingForThread = false;
  /** It waits no longer. */
  cancel: () => void = () => {};
  giveUp: (error: unknown) => void = () => {};
  usedEffects: Effects | undefined;
  /** The call itself, while it runs in this thread. */
  running: Running | undefined;
  /** What says of a transaction of its own that it has been committed. */
  entry: Change | undefined;
  readonly #handler: string;
  readonly #evolution: Evolution;
  readonly #timeoutMs: number;
  readonly #tables: StateTables;
  readonly #subject: Subject;
  readonly #isBeside: boolean;
  #controller: AbortController | undefined;
  #reason: unknown;

  constructor(
    { keptAs, evolution, timeoutMs }: Pick<SubscriptionSettings, 'keptAs' | 'evolution' | 'timeoutMs'>,
    handlerState: StateTables,
    { attempt, subject, isBeside, dryRun }: AttemptFields,
  ) {
    this.#handler = keptAs;
    this.#evolution = evolution;
    this.#timeoutMs = timeoutMs;
    this.attempt = attempt;
    this.#tables = handlerState;
    this.#subject = subject;
    this.#isBeside = isBeside;
    this.dryRun = dryRun;
  }

  get effectKey(): string {
    return this.effectKeyOf(this.#subject);
  }

  /** The same for a part of its event. */
  effectKeyOf(part: Subject): string {
    return effectKeyOf(this.#handler, part, this.#evolution);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get tx(): EffectTransaction {
    if (this.usedEffects === undefined) {
      if (!this.#isBeside) this.entry = handledEntry(this.#handler, this.#subject);
      this.usedEffects = new Effects(this.#tables, this.entry, this.#timeoutMs);
    }
    return this.usedEffects;
  }

  /** A thread has been asked to call the handler. */
  waits(): void {
    this.isWaitingForThread = true;
  }

  /** The thread has called it. */
  called(): void {
    this.isWaitingForThread = false;
    this.begun();
  }

  /** Whether it is waited for no longer. */
  get isExpired(): boolean {
    return this.#reason !== undefined;
  }

  /** It is waited for no longer; its call may go on by itself. */
  expire(reason: unknown): void {
    this.#reason = reason;
    this.running?.end();
    this.cancel();
    this.giveUp(reason);
    this.#controller?.abort(reason);
  }
}
