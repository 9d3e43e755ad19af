// The aggregates that are rehearsed, as the release to come folds them: each at the version that its next command finds.
// Rehearsal thread.
//
// Invariant: a command runs on the state that its aggregate had before it, or not at all. An aggregate is loaded once; from
// then on the events of each of its commands are folded behind it. Where a command was left out, it is loaded again.

import { pause, performance } from '../../base/clock.ts';
import type { ActorType } from '../../shard/actor.ts';
import { evolveFrame } from '../../shard/evolve.ts';
import { freezeState } from '../../shard/frozen.ts';
import type { ControlBlock } from '../../shared/control-block.ts';
import { FrameKind, FrameReader } from '../../wire/frame.ts';
import type { HandedOver } from './contract.ts';
import type { Folded, PastStates } from './past-states.ts';

/** States in memory. */
const aggregatesMost = 10_000;
/** A flush takes milliseconds; a store that is unavailable for longer costs the commands meanwhile. */
const storedMs = 5_000;
const lookEveryMs = 5;

export class RehearsedAggregates {
  private readonly past: PastStates;
  private readonly control: ControlBlock;
  /** By type and id, those used last at the end. */
  private readonly known = new Map<string, Folded>();

  constructor(past: PastStates, control: ControlBlock) {
    this.past = past;
    this.control = control;
  }

  /**
   * As it was before the command; undefined: it cannot be had.
   * @throws what the release to come makes of its history: UpcastFailed, UnknownEventType, what a reducer throws
   */
  async before(type: ActorType, command: HandedOver, version: number): Promise<Folded | undefined> {
    const key = keyOf(type, command.id);
    const known = this.known.get(key);
    if (known?.version === version) return known;
    this.known.delete(key);
    if (version === 0) return { state: freezeState(type.definition.state()), version };
    if (!(await this.isStored(command.firstPosition - 1))) return undefined;
    return this.past.at(type, command.id, version);
  }

  /** The command's events have happened. @throws as `before` */
  after(type: ActorType, { id, group, frameCount, firstPosition, version }: HandedOver, before: Folded): void {
    const key = keyOf(type, id);
    this.known.delete(key);
    const bytes = Buffer.from(group.buffer, group.byteOffset, group.byteLength);
    const frame = new FrameReader(bytes);
    let { state } = before;
    for (let i = 0, at = 0; i < frameCount; i++, at = frame.next) {
      frame.at(at);
      if (frame.kind === FrameKind.event) state = evolveFrame(type.definition, state, frame, id, firstPosition + i);
    }
    this.keep(key, { state: freezeState(state), version });
  }

  private keep(key: string, { state, version }: Folded): void {
    if (this.known.size >= aggregatesMost) this.known.delete(this.known.keys().next().value!);
    this.known.set(key, { state, version });
  }

  private async isStored(position: number): Promise<boolean> {
    const { control } = this;
    const end = performance.now() + storedMs;
    while (Math.min(control.position('stored'), control.position('remembered')) < position) {
      if (performance.now() > end) return false;
      await pause(lookEveryMs);
    }
    return true;
  }
}

/** No name and no id holds U+0000. */
const keyOf = (type: ActorType, id: string): string => `${type.name}\0${id}`;
