// The aggregates that are rehearsed, as the release to come folds them: each at the version that its next command finds.
// Rehearsal thread.
//
// Invariant: a command runs on the state that its aggregate had before it, or not at all. An aggregate is loaded once; from
// then on the events of each of its commands are folded behind it. Where a command was left out, it is loaded again.

import { pause, performance } from '../../base/clock.ts';
import { Actor, type ActorType } from '../../shard/actor.ts';
import { evolveFrame } from '../../shard/evolve.ts';
import { freezeState } from '../../shard/frozen.ts';
import type { Loader } from '../../shard/loader.ts';
import type { ControlBlock } from '../../shared/control-block.ts';
import { FrameKind, FrameReader } from '../../wire/frame.ts';
import type { HandedOver } from './contract.ts';

/** States in memory. */
const aggregatesMost = 10_000;
/** A flush takes milliseconds; a store that is unavailable for longer costs the commands meanwhile. */
const storedMs = 5_000;
const lookEveryMs = 5;

export interface Folded {
  readonly state: unknown;
  readonly version: number;
}

export class RehearsedAggregates {
  private readonly loader: Loader;
  private readonly control: ControlBlock;
  /** By type and id, those used last at the end. */
  private readonly known = new Map<string, Folded>();

  constructor(loader: Loader, control: ControlBlock) {
    this.loader = loader;
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
    const loaded = await this.load(type, command.id);
    this.keep(key, loaded);
    return loaded.version === version ? loaded : undefined;
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

  private async load(type: ActorType, id: string): Promise<Folded> {
    const found = this.loader.load(type, id);
    if (found !== undefined) return found;
    const actor = new Actor(type, id, undefined, 0, 0);
    await this.loader.fetch(actor, () => true);
    return actor;
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
