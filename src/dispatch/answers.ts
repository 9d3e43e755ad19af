// Questions from one aggregate to another: the host thread passes them on and brings the answer back.

import { monotonicMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { toWire } from '../base/wire-error.ts';
import type { Answer } from '../shard/contract.ts';
import { GroupKind } from '../shared/ring/ring.ts';
import { FrameKind, type FrameReader } from '../wire/frame.ts';
import { nameWithSenders, sendersIn } from '../wire/message.ts';
import { errorJson } from '../wire/payload.ts';
import type { CommandTaps } from './command-taps.ts';
import type { NamedSender, NamedSendOptions } from './named-sender.ts';
import type { CommandWrite, ShardChannel } from './shard-channel.ts';

/** Send what an ask group says, and answer the shard that asked. The asker's deadline bounds it. */
export function answerAsk(
  { sender, taps }: { readonly sender: NamedSender; readonly taps: CommandTaps },
  channel: ShardChannel,
  number: number,
  frame: FrameReader,
): void {
  const { aggregateType: type, aggregateId: id, dataJson: inputJson } = frame;
  const { command, senders } = sendersIn(frame.name);
  const answer = (data: string): void => {
    const write: CommandWrite = (ring) => {
      ring.frame(FrameKind.message, 0, 0, 0, '', '', '', '', data);
      ring.publish(GroupKind.answer, 0, number, 0, '');
    };
    try {
      channel.tell(write, refuse);
    } catch (tooLarge) {
      return refuse(tooLarge);
    }
    taps.current?.answered(senders.at(-1)!, {
      aggregateType: type,
      aggregateId: id,
      command,
      inputJson,
      answerJson: data,
    });
  };
  const refuse = (error: unknown): void => {
    const wire = toWire(error, { aggregateType: type, command });
    answer(`{"error":${errorJson(wire)}}`);
  };
  const deadlineMs = Math.ceil(frame.occurredAt - monotonicMs());
  const toldDeadlineMs = frame.version; // a question has no version
  if (deadlineMs <= 0)
    return refuse(new TrunklineError('DeadlineExceeded', { deadlineMs: toldDeadlineMs, executed: 'no' }));
  const askers = nameWithSenders('', senders);
  const options: NamedSendOptions = { ack: 'written', deadlineMs, toldDeadlineMs, isInternal: true, askers };
  sender
    .sendNamed(type, command, id, inputJson, frame.metadataJson, options)
    .then(({ value }) => answer(JSON.stringify({ value } satisfies Answer)), refuse);
}
