// One aggregate's events folded by two definitions, each as a shard folds them on a load.

import { evolveFrame } from '../shard/evolve.ts';
import { freezeState } from '../shard/frozen.ts';
import type { FrameReader } from '../wire/frame.ts';
import { failureOf, type RehearsalFailure } from './compare/failure.ts';
import type { Pair } from './compare/pairs.ts';
import { PayloadForTwo } from './payload-for-two.ts';

/** Where an event stands. */
export interface EventAt {
  readonly version: number;
  /** 0: it has come by no log. */
  readonly position: number;
  /** As it is stored. */
  readonly eventType: string;
}

type Definition = Pair['old'];

class Fold {
  private readonly definition: Definition;
  private readonly id: string;
  /** The state so far. */
  folded: unknown;
  failure: RehearsalFailure | undefined;

  constructor(definition: Definition, id: string) {
    this.definition = definition;
    this.id = id;
    this.attempt(() => definition.state());
  }

  apply(frame: FrameReader, position: number, payloads: PayloadForTwo): void {
    // In place: a closure for each event would be an allocation for each.
    try {
      this.folded = evolveFrame(this.definition, this.folded, frame, this.id, position, payloads);
    } catch (error) {
      this.failure = failureOf(error);
    }
  }

  /** A load freezes what it has folded: what the next aggregate shares with it cannot be changed by that one's reducers. */
  end(): void {
    if (this.failure === undefined) this.attempt(() => freezeState(this.folded));
  }

  private attempt(work: () => unknown): void {
    try {
      this.folded = work();
    } catch (error) {
      this.failure = failureOf(error);
    }
  }
}

/** A fold ends where either side fails: what comes after that cannot be compared. */
export class TwoFolds {
  readonly old: Fold;
  readonly new: Fold;
  private readonly payloads = new PayloadForTwo();
  /** How many events. */
  applied = 0;
  private version = 0;
  private position = 0;
  private eventType = '';

  constructor(pair: Pair, id: string) {
    this.old = new Fold(pair.old, id);
    this.new = new Fold(pair.new, id);
  }

  get hasFailed(): boolean {
    return this.old.failure !== undefined || this.new.failure !== undefined;
  }

  /** False: a side has failed at it. */
  apply(frame: FrameReader, position: number): boolean {
    const { payloads } = this;
    payloads.begin();
    this.old.apply(frame, position, payloads);
    this.new.apply(frame, position, payloads);
    this.applied++;
    this.version = frame.version;
    this.position = position;
    this.eventType = frame.name;
    return !this.hasFailed;
  }

  /** The last event; the one that a side has failed at, if so. */
  get last(): EventAt {
    const { version, position, eventType } = this;
    return { version, position, eventType };
  }

  end(): void {
    this.old.end();
    this.new.end();
  }

  /** Whether both have failed by the same kind of error: the new release changes nothing then. */
  get failAlike(): boolean {
    return this.old.failure !== undefined && this.old.failure.code === this.new.failure?.code;
  }
}
