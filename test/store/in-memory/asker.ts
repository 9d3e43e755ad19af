// Asks the holder from another thread, or from its own.
import { BroadcastChannel } from 'node:worker_threads';
import { TrunklineError } from '../../../src/base/errors.ts';
import type { Answers, Question } from './holder.ts';

export const away = (): TrunklineError =>
  new TrunklineError('StoreUnavailable', { store: 'in-memory', cause: 'it is switched off' });

interface Answer {
  readonly answerTo?: string;
  readonly number: number;
  readonly away?: boolean;
  readonly value?: unknown;
}

export class Asker {
  private readonly asker = crypto.randomUUID();
  private readonly channel: BroadcastChannel;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private number = 0;

  constructor(channelName: string) {
    this.channel = new BroadcastChannel(channelName);
    this.channel.onmessage = (message: unknown) => {
      const answer = (message as { data: Answer }).data;
      if (answer.answerTo !== this.asker) return;
      this.waiting.get(answer.number)?.(answer);
      this.waiting.delete(answer.number);
    };
    this.channel.unref();
  }

  async ask<What extends keyof Answers>(
    what: What,
    ...of: Parameters<Answers[What]>
  ): Promise<ReturnType<Answers[What]>> {
    const number = this.number++;
    this.channel.ref();
    const answer = await new Promise<Answer>((resolve) => {
      this.waiting.set(number, resolve);
      this.channel.postMessage({ asker: this.asker, number, what, of } satisfies Question);
    });
    if (this.waiting.size === 0) this.channel.unref();
    if (answer.away) throw away();
    return answer.value as ReturnType<Answers[What]>;
  }

  close(): void {
    this.channel.close();
  }
}
