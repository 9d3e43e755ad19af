// What the main thread does for a rehearsal: it picks commands, copies what they were given and came to, and hands them over,
// several at a time. Bounded by time, by bytes, and by how far the rehearsal is behind. Host thread.

import { clearTimeout, dateMs, performance, setTimeout } from '../../base/clock.ts';
import { guarded } from '../../base/guarded.ts';
import type { CommandTap, TappedCommand, TappedQuestion } from '../../dispatch/command-taps.ts';
import type { RingConsumer } from '../../shared/ring/consumer.ts';
import { GroupFlag } from '../../shared/ring/ring.ts';
import type { Address } from '../../wire/message.ts';
import { isInShare } from '../compare/share.ts';
import type { HandedOver, LeftOut } from './contract.ts';

/** Commands, and their bytes, that wait for their judgement. */
const queueMost = 4_096;
const queueBytesMost = 32 << 20;
/** Copying 4 KiB, bytes or text, takes 1.7 to 1.9 µs (Node 24, 2.6 GHz): a larger command would overrun its budget at once. */
const bytesPerMicro = 2_048;
/** Waking the thread costs as much as copying: for so many at once, or so late. */
const batchMost = 32;
const lingerMs = 5;
/** How much time that was not used may be used later, in budgets. */
const creditMost = 1_000;
/** Commands that wait for answers, and the questions of each. */
const askersMost = 1_000;
const questionsMost = 1_000;

/** What one command has asked so far. */
interface Asked {
  readonly list: TappedQuestion[];
  bytes: number;
  /** There was room for all. */
  isWhole: boolean;
}

const nothing: Asked = Object.freeze({ list: [], bytes: 0, isWhole: true });

export interface TapSettings {
  /** As they are stored. */
  readonly types: ReadonlySet<string>;
  readonly share: number;
  readonly budgetMicros: number;
}

export class RehearsalTap implements CommandTap {
  private overBudget = 0;
  private behind = 0;
  spentMicros = 0;
  private readonly settings: TapSettings;
  private readonly send: (commands: readonly HandedOver[]) => void;
  private readonly questions = new Map<string, Asked>();
  private questionBytes = 0;
  private batch: HandedOver[] = [];
  /** Those that were sent, in their order. */
  private readonly waiting: { readonly command: TappedCommand; readonly bytes: number }[] = [];
  private waitingBytes = 0;
  private creditMicros = 0;
  private linger: NodeJS.Timeout | undefined;

  constructor(settings: TapSettings, send: (commands: readonly HandedOver[]) => void) {
    this.settings = settings;
    this.send = send;
  }

  wants(aggregateType: string, id: string): boolean {
    const { share, types } = this.settings;
    return share > 0 && types.has(aggregateType) && isInShare(aggregateType, id, share);
  }

  answered({ aggregateType, aggregateId }: Address, question: TappedQuestion): void {
    if (!this.wants(aggregateType, aggregateId)) return;
    const began = performance.now();
    this.keep(keyOf(aggregateType, aggregateId), question);
    this.spend(began);
  }

  private keep(key: string, question: TappedQuestion): void {
    const { questions } = this;
    const known = questions.get(key);
    const bytes = question.inputJson.length + question.answerJson.length;
    const asked = known ?? { list: [], bytes: 0, isWhole: true };
    // Of a command whose shard has died, answers would stay.
    if (known === undefined && questions.size >= askersMost) this.forget(questions.keys().next().value!);
    questions.set(key, asked);
    const isFull = asked.list.length >= questionsMost || this.questionBytes + bytes > queueBytesMost;
    if (isFull) asked.isWhole = false;
    if (!asked.isWhole) return;
    asked.list.push(question);
    asked.bytes += bytes;
    this.questionBytes += bytes;
  }

  passed(aggregateType: string, id: string): void {
    if (this.questions.size > 0) this.forget(keyOf(aggregateType, id));
  }

  settled(aggregateType: string, command: TappedCommand, group: RingConsumer): void {
    const began = performance.now();
    const { budgetMicros } = this.settings;
    this.creditMicros = Math.min(this.creditMicros + budgetMicros, creditMost * budgetMicros);
    const asked = this.forget(keyOf(aggregateType, command.id));
    const own = group.framesBytes + group.replyBytes + command.inputJson.length + command.metadataJson.length;
    const bytes = own + asked.bytes;
    if (this.creditMicros < 0 || bytes > budgetMicros * bytesPerMicro) this.overBudget++;
    else if (!asked.isWhole || this.waiting.length >= queueMost || this.waitingBytes + bytes > queueBytesMost)
      this.behind++;
    else {
      this.waiting.push({ command, bytes });
      this.waitingBytes += bytes;
      this.batch.push(handedOver(command, group, asked.list));
    }
    this.spend(began);
  }

  endTurn(): void {
    if (this.batch.length >= batchMost) this.handOver();
    else if (this.batch.length > 0)
      this.linger ??= setTimeout(
        guarded(() => this.handOver()),
        lingerMs,
      ).unref();
  }

  /** It looks on no longer. */
  end(): void {
    clearTimeout(this.linger);
  }

  private handOver(): void {
    clearTimeout(this.linger);
    this.linger = undefined;
    const began = performance.now();
    const { batch } = this;
    this.batch = [];
    this.send(batch);
    this.spend(began);
  }

  /** How many were left out. */
  get leftOut(): Pick<LeftOut, 'budget' | 'queue'> {
    return { budget: this.overBudget, queue: this.behind };
  }

  /** The command that is at work, or next. */
  get first(): TappedCommand | undefined {
    return this.waiting[0]?.command;
  }

  /** So many have been judged. */
  judged(count: number): void {
    for (const { bytes } of this.waiting.splice(0, count)) this.waitingBytes -= bytes;
  }

  /** What it has asked. */
  private forget(key: string): Asked {
    const asked = this.questions.get(key);
    if (asked === undefined) return nothing;
    this.questions.delete(key);
    this.questionBytes -= asked.bytes;
    return asked;
  }

  private spend(began: number): void {
    const micros = (performance.now() - began) * 1000;
    this.spentMicros += micros;
    this.creditMicros -= micros;
  }
}

/** No name and no id holds U+0000. */
const keyOf = (aggregateType: string, id: string): string => `${aggregateType}\0${id}`;

function handedOver(command: TappedCommand, group: RingConsumer, questions: readonly TappedQuestion[]): HandedOver {
  const { version, firstPosition, flags, frameCount, framesBytes, framesStart, replyStart, replyBytes } = group;
  const readAt = dateMs();
  // The ring's bytes are given back; and of a pool of buffers a message would carry the whole.
  const copy = new Uint8Array(group.bytes.subarray(framesStart, replyStart + replyBytes));
  return {
    ...command,
    ...{ version, firstPosition, frameCount, framesBytes, questions, readAt },
    flags: flags & (GroupFlag.value | GroupFlag.nothing | GroupFlag.repeated),
    group: copy,
  };
}
