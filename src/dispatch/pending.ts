// A command in flight, as its caller waits for it.

import { clearTimeout, setTimeout } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';
import { onAbort } from '../base/on-abort.ts';
import type { SendOptions } from '../model/aggregate.ts';
import type { Level, Receipt } from '../model/receipt.ts';
import type { TappedCommand } from './command-taps.ts';
import type { CommandReceipt } from './receipt.ts';
import type { ShardChannel, Waiting } from './shard-channel.ts';

export class Pending {
  readonly resolve: (receipt: Receipt<unknown>) => void;
  readonly reject: (error: unknown) => void;
  readonly ack: Level;
  readonly deadlineMs: number;
  channel: ShardChannel;
  readonly type: string;
  readonly id: string;
  /** A message between aggregates: its reply needs no events. */
  isMessage = false;
  /** It comes from an aggregate, and counts apart: set before it has a slot. */
  isInternal = false;
  /** See `NamedSendOptions`. */
  onOutcome: ((position: number) => void) | undefined;
  /** A tap wants to know what it comes to. */
  tapped: TappedCommand | undefined;
  /** Where its group ends in the command ring; undefined while it waits for room. */
  endOfGroup: number | undefined;
  /** As what it waits for room. */
  waiting: Waiting | undefined;
  /** The caller has its answer, early: by deadline, abort, or because `raised` was enough. */
  answered = false;
  /** Its reply is here, and its caller waits for what is left: events to be fetched, a level to be reached. */
  isCarriedOut = false;
  /** Given out at `raised`; told when it is written. */
  raised: CommandReceipt | undefined;
  private timer: NodeJS.Timeout | undefined;
  private forget: (() => void) | undefined;

  // Fields by position: one is made for each command, and an object beside it would be one more allocation.
  constructor(
    resolve: (receipt: Receipt<unknown>) => void,
    reject: (error: unknown) => void,
    ack: Level,
    deadlineMs: number,
    channel: ShardChannel,
    type: string,
    id: string,
  ) {
    this.resolve = resolve;
    this.reject = reject;
    this.ack = ack;
    this.deadlineMs = deadlineMs;
    this.channel = channel;
    this.type = type;
    this.id = id;
  }

  /** Arrange for the caller to be released before the reply, if it asked for that. */
  watch(options: SendOptions, onDeadline: () => void, aborted: () => void): void {
    if (options.deadlineMs !== undefined) this.timer = setTimeout(guarded(onDeadline), options.deadlineMs);
    if (options.signal) {
      this.forget = onAbort(options.signal, aborted);
      if (this.answered) this.unwatch(); // it was aborted already
    }
  }

  unwatch(): void {
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.forget?.();
  }

  succeed(receipt: Receipt<unknown>): void {
    if (this.answered) return;
    this.answered = true;
    this.unwatch();
    this.resolve(receipt);
  }

  /** The same as soon as the receipt is complete; until then deadline and signal go on. */
  succeedWith(receipt: Promise<Receipt<unknown>>): void {
    this.isCarriedOut = true;
    receipt.then(
      (complete) => this.succeed(complete),
      (error) => this.fail(error),
    );
  }

  /** Answer the caller, once; and who has a receipt of what was only `raised`, and now never will be more. */
  fail(error: unknown): void {
    this.raised?.lost(error);
    if (this.answered) return;
    this.answered = true;
    this.unwatch();
    this.reject(error);
  }
}
