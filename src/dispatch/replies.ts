// What a caller gets for a reply in a ring: a receipt at the level that it waits for, or an error. Host thread.

import { Rejected } from '../base/errors.ts';
import { checked } from '../base/json.ts';
import { carriedOut } from '../base/wait.ts';
import { type Receipt, repeatedReply } from '../model/receipt.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import { GroupFlag } from '../shared/ring/ring.ts';
import type { Pending } from './pending.ts';
import type { Progress } from './progress.ts';
import { CommandReceipt, RepeatedReceipt } from './receipt.ts';
import { replyError } from './reply-error.ts';
import type { AnswerReader } from './store-answers.ts';

/** What a message's refusal came with, for who delivers it. */
const answers = new WeakMap<object, CommandReceipt>();
export const answerOf = (refusal: unknown): CommandReceipt | undefined => answers.get(refusal as object);

export interface ReplyContext {
  readonly progress: Progress;
  readonly answers: Pick<AnswerReader, 'eventsFrom'>;
}

/** `firstPosition` 0: the reply is not in the log yet, and its caller waits for `raised` only. */
export function answer(context: ReplyContext, pending: Pending, ring: RingConsumer, firstPosition: number): void {
  const { progress } = context;
  if ((ring.flags & (GroupFlag.value | GroupFlag.nothing)) === 0) {
    const error = replyError(ring, pending.deadlineMs);
    const isConfirmed = pending.ack === 'stored' || pending.ack === 'published';
    if (!(error instanceof Rejected)) return pending.fail(error);
    if (!isConfirmed) {
      if (pending.isMessage) answers.set(error, new CommandReceipt(ring, firstPosition, progress, pending, false));
      return pending.fail(error);
    }
    // Decided on a state that the store may refuse: the refusal is then the answer.
    const refused = new CommandReceipt(ring, firstPosition, progress, pending, false);
    return pending.succeedWith(
      atLevel(refused, pending).then(() => {
        throw error;
      }),
    );
  }
  const receipt = new CommandReceipt(ring, firstPosition, progress, pending);
  if ((ring.flags & GroupFlag.repeated) !== 0) {
    pending.succeedWith(repeated(context, pending, receipt));
  } else if (firstPosition === 0) {
    pending.raised = receipt;
    pending.succeed(receipt);
  } else if (pending.ack === 'written' || pending.ack === 'raised') {
    pending.succeed(receipt);
  } else {
    pending.succeedWith(atLevel(receipt, pending).then(() => receipt));
  }
}

/** A command that is carried out says so, although its level does not come: its caller must not send it again. */
function atLevel(receipt: CommandReceipt | RepeatedReceipt, { ack, deadlineMs }: Pending): Promise<void> {
  return carriedOut(receipt.whenAt(ack, undefined, deadlineMs > 0 ? 'own' : 'bounded'));
}

/** The receipt of an outcome that an earlier command had: its events come from the store. */
async function repeated(context: ReplyContext, pending: Pending, receipt: CommandReceipt): Promise<Receipt<unknown>> {
  const { value, events: count } = checked(receipt.value, repeatedReply, 'a repeated reply');
  const from = receipt.version - count + 1;
  const { type, id, isMessage } = pending;
  const events = !isMessage && count > 0 ? await context.answers.eventsFrom(type, id, from, count) : [];
  const result = new RepeatedReceipt(value, receipt.version, events, receipt, context.progress);
  await atLevel(result, pending);
  return result;
}
