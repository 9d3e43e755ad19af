// Questions that this shard's commands have put to other aggregates and that are not answered yet. They travel through
// the shard's ring like replies, so that one leaves only after everything its asker has seen is written. Each carries the
// chain of aggregates that wait for its answer: a question to one of them could never be answered, and is refused.

import { clearTimeout, monotonicMs, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { checkedJson } from '../base/json.ts';
import { fromWire } from '../base/wire-error.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import { GroupKind } from '../shared/ring/ring.ts';
import { FrameKind, type FrameReader } from '../wire/frame.ts';
import { type Address, nameWithSenders } from '../wire/message.ts';
import { answerShape } from './contract.ts';
import type { Question } from './execution.ts';
import type { Outgoing } from './outgoing.ts';

const numbers = 2 ** 32;
// Bounds the chain in a frame: 32 of the longest addresses take 11 KB. A longer cycle ends by its deadline.
const chainLimit = 32;

interface Asked {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

export class Asks {
  private readonly outgoing: Outgoing;
  private readonly defaultDeadlineMs: number;
  private readonly open = new Map<number, Asked>();
  private lastNumber = 0;

  constructor(outgoing: Outgoing, defaultDeadlineMs: number) {
    this.outgoing = outgoing;
    this.defaultDeadlineMs = defaultDeadlineMs;
  }

  ask(target: AnyAggregate, id: string, command: string, data: string, question: Question): Promise<unknown> {
    const cycle = cycleOf(question.askers, { aggregateType: storedTypeOf(target), aggregateId: id });
    if (cycle) return Promise.reject(new TrunklineError('AskCycle', { chain: cycle }));
    const deadlineMs = question.deadlineMs ?? this.defaultDeadlineMs;
    const number = this.freeNumber();
    const deadlineAt = monotonicMs() + deadlineMs;
    const { metadataJson } = question;
    const name = nameWithSenders(command, question.askers.slice(-chainLimit));
    this.outgoing.ask((ring) => {
      const namedMs = Math.ceil(deadlineMs);
      ring.frame(FrameKind.question, 0, deadlineAt, namedMs, storedTypeOf(target), id, name, metadataJson, data);
      ring.publish(GroupKind.ask, 0, number, 0, '');
    });
    return new Promise((resolve, reject) => {
      const late = guarded(() => {
        this.open.delete(number);
        reject(new TrunklineError('DeadlineExceeded', { deadlineMs, executed: 'unknown' }));
      });
      const timer = setTimeout(late, deadlineMs);
      this.open.set(number, { resolve, reject, timer });
    });
  }

  /** The next number, of 32 bits, that stands for no open question. */
  private freeNumber(): number {
    do this.lastNumber = (this.lastNumber + 1) % numbers;
    while (this.open.has(this.lastNumber));
    return this.lastNumber;
  }

  /** An answer group has come. One for a question whose asker waits no more is dropped. */
  settle(ring: RingConsumer, frame: FrameReader): void {
    const asked = this.open.get(ring.slot);
    if (asked === undefined) return;
    this.open.delete(ring.slot);
    clearTimeout(asked.timer);
    try {
      const answer = checkedJson(frame.at(ring.framesStart).dataJson, answerShape, 'the answer to an ask');
      if (answer.error) asked.reject(fromWire(answer.error));
      else asked.resolve(answer.value);
    } catch (error) {
      asked.reject(error as Error);
    }
  }
}

/** Who asks whom from the target back to it, if it is among those that wait for the answer. */
function cycleOf(askers: readonly Address[], target: Address): Address[] | undefined {
  const { aggregateType, aggregateId } = target;
  const from = askers.findIndex((one) => one.aggregateType === aggregateType && one.aggregateId === aggregateId);
  return from < 0 ? undefined : [...askers.slice(from), target];
}
