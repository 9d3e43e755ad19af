// Who looks on at commands: what each was given, and what it came to, once that is written. One at most looks on. Host thread.
//
// Invariant: it changes nothing. What it throws is handed to the turn's `report`, and a caller's answer does not wait for it.
import type { RingConsumer } from '../shared/ring/consumer.ts';
import type { Address } from '../wire/message.ts';

/** A command as it went to its shard. */
export interface TappedCommand {
  readonly typeIndex: number;
  readonly commandIndex: number;
  readonly id: string;
  readonly inputJson: string;
  readonly metadataJson: string;
}

/** A question of a command to another aggregate, and its answer, both as JSON. */
export interface TappedQuestion extends Address {
  readonly command: string;
  readonly inputJson: string;
  readonly answerJson: string;
}

export interface CommandTap {
  /** Of an aggregate, its type as it is stored. */
  wants(aggregateType: string, id: string): boolean;
  /** A command of the asker has its answer. */
  answered(asker: Address, question: TappedQuestion): void;
  /** The command's group in the ring: its frames are in the log. `aggregateType`: as it is stored. */
  settled(aggregateType: string, command: TappedCommand, group: RingConsumer): void;
  /** A command that it was not there for has ended: its questions are no matter of the next one. */
  passed(aggregateType: string, id: string): void;
  /** All that was written has been read. */
  endTurn(): void;
}

export class CommandTaps {
  private tap: CommandTap | undefined;

  get current(): CommandTap | undefined {
    return this.tap;
  }

  begin(tap: CommandTap): void {
    this.tap = tap;
  }

  /** Nothing, if another one looks on by now. */
  end(tap: CommandTap): void {
    if (this.tap === tap) this.tap = undefined;
  }
}
