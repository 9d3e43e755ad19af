// Commands waiting for one actor. First in, first out, bounded: so many of users, and as many of other aggregates, so that
// neither keeps the other out.
import type { Command } from './command.ts';

export class Mailbox {
  private waiting: Command[] = [];
  private first = 0;
  private internals = 0;
  readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.waiting.length - this.first;
  }

  /** False if it is full. */
  put(command: Command): boolean {
    const count = command.isInternal ? this.internals : this.length - this.internals;
    if (count >= this.limit) return false;
    if (command.isInternal) this.internals++;
    this.waiting.push(command);
    return true;
  }

  take(): Command | undefined {
    const command = this.waiting[this.first];
    if (command === undefined) return undefined;
    if (command.isInternal) this.internals--;
    this.first++;
    if (this.first > 64 && this.first * 2 > this.waiting.length) {
      this.waiting = this.waiting.slice(this.first);
      this.first = 0;
    }
    return command;
  }
}
