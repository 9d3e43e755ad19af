// The receipt of a command: holds a copy of the group as it stood in the ring, and decodes what is looked at.

import { inspect } from 'node:util';
import { checkSignalOptions } from '../base/checks.ts';
import type { TrunklineError } from '../base/errors.ts';
import { userJson } from '../base/json.ts';
import { orAborted } from '../base/on-abort.ts';
import { ownGetter } from '../base/own-getter.ts';
import { heldUpBy, within } from '../base/wait.ts';
import { decodeEvent, type StoredEvent } from '../model/event.ts';
import { checkLevel, type Level, type Receipt } from '../model/receipt.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import { GroupFlag } from '../shared/ring/ring.ts';
import { FrameKind, FrameReader, lastEventIndex } from '../wire/frame.ts';
import type { WaitBound } from './level-waiters.ts';

/** What an answer without events rests on: this version of its aggregate, at a position of the log. */
interface Basis {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly position: number;
}

/** What a receipt needs to wait for later levels. */
export interface LevelWait {
  reached(level: Level, position: number, signal: AbortSignal | undefined, patience?: WaitBound): Promise<void>;
  /** How long a wait of a user's lasts. */
  readonly timeoutMs: number;
  /** The store is elsewhere, where another log may have gone on. */
  readonly isStoreElsewhere: boolean;
  /** Whether the store has what an answer without events rests on. @throws Quarantined, StoreUnavailable */
  confirm(basis: Basis): Promise<void>;
  /** Why the store does not have all of these positions, to which it has come. */
  refused(from: number, to: number): TrunklineError | undefined;
  /** Why what was answered for this aggregate is not the store's, at a position to which the store has come. */
  unsound(type: string, id: string, receipt: number, lastPosition: number): TrunklineError | undefined;
  /** Receipts count, in the order in which their groups were read. */
  nextReceipt(): number;
  /** How far a position that is written has come by now. */
  levelOf(position: number): Level;
  /** The name that a stored aggregate type has today. */
  todaysType(aggregateType: string): string;
}

interface Answerer {
  readonly type: string;
  readonly id: string;
}

/** What a receipt for events of entities names. */
const entities: Answerer = { type: '', id: '' };

/** A receipt as `console.log` and a logger show it; `level`: how far its events have come by now. */
interface Shown {
  value: unknown;
  version: number;
  position: number;
  level: Level;
}

const shown = ({ value, version, position }: Receipt<unknown>, level: Level): Shown => ({
  value,
  version,
  position,
  level,
});

/** Own and enumerable throughout, so that a receipt copies and compares as it looks; events are decoded when read. */
export class CommandReceipt implements Receipt<unknown> {
  readonly value: unknown;
  readonly version: number;
  position: number;
  declare readonly events: readonly StoredEvent[];
  readonly #group: Buffer;
  readonly #frames: number;
  readonly #wait: LevelWait;
  /** Index of the last event among the frames; -1: none. */
  readonly #lastEvent: number;
  #firstPosition: number;
  #events: readonly StoredEvent[] | undefined;
  #whenWritten: PromiseWithResolvers<void> | undefined;
  #lost: unknown;
  readonly #type: string;
  readonly #id: string;
  #number: number;

  /** `whose`: the aggregate that answers. `hasOutcome`: else the reply is an error. */
  constructor(
    ring: RingConsumer,
    firstPosition: number,
    wait: LevelWait,
    whose: Answerer = entities,
    hasOutcome = true,
  ) {
    this.#type = whose.type;
    this.#id = whose.id;
    this.#number = wait.nextReceipt();
    // One copy of the group: its bytes in the ring are given back to the shard.
    this.#group = Buffer.from(ring.bytes.subarray(ring.framesStart, ring.replyStart + ring.replyBytes));
    this.#frames = ring.frameCount;
    this.#lastEvent = lastEventIndex(this.#group, this.#frames);
    this.#firstPosition = firstPosition;
    this.#wait = wait;
    const hasValue = hasOutcome && (ring.flags & GroupFlag.value) !== 0;
    this.value = hasValue ? userJson(this.#group.toString('utf8', ring.framesBytes)) : undefined;
    this.version = ring.version;
    this.position = this.#lastPositionOfEvents();
    ownGetter(this, 'events', this.#readEvents);
  }

  #lastPositionOfEvents(): number {
    return this.#firstPosition === 0 ? 0 : this.#firstPosition + this.#lastEvent;
  }

  #readEvents(): readonly StoredEvent[] {
    if (this.#events !== undefined) return this.#events;
    const events: StoredEvent[] = [];
    const frame = new FrameReader(this.#group).at(0);
    for (let i = 0; i <= this.#lastEvent; i++) {
      const position = this.#firstPosition === 0 ? 0 : this.#firstPosition + i;
      if (frame.kind === FrameKind.event) {
        events.push(decodeEvent(frame, position, this.#wait.todaysType(frame.aggregateType)));
      }
      frame.at(frame.next);
    }
    const frozen = Object.freeze(events);
    if (this.#firstPosition !== 0) this.#events = frozen;
    return frozen;
  }

  async reached(level: Level, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkLevel('level', level);
    checkSignalOptions('reached', options);
    options.signal?.throwIfAborted();
    if (level === 'raised') return;
    const { timeoutMs } = this.#wait;
    if (this.#firstPosition === 0) await within(this.#written(options.signal), { what: 'the log', timeoutMs });
    await this.whenAt(level, options.signal).catch((error: unknown) => {
      throw heldUpBy(error);
    });
    if (isConfirmed(level, this.#wait) && this.#lastEvent < 0 && !this.#hasBasis()) {
      const { version, lastPosition: position } = this;
      await this.#wait.confirm({ type: this.#type, id: this.#id, version, position });
    }
  }

  /**
   * The same for a receipt whose position is known; its answer, if it has no events, is confirmed by the flush where the
   * command was sent with that level. @throws WaitTimedOut
   */
  whenAt(level: Level, signal?: AbortSignal, patience?: WaitBound): Promise<void> {
    const reached = whenConfirmed(this.#wait, level, this.lastPosition, signal, patience);
    return level === 'stored' || level === 'published'
      ? reached.then(() => {
          checkStored(this.#wait, this.#firstPosition, this.lastPosition);
          this.checkSound();
        })
      : reached;
  }

  /** The flush that brought it has compared it with the head. */
  #hasBasis(): boolean {
    if (this.#type === '') return true; // events of entities
    const frame = new FrameReader(this.#group).at(0);
    for (let i = 0; i < this.#frames; i++) {
      if (frame.kind === FrameKind.basis) return true;
      if (i + 1 < this.#frames) frame.at(frame.next);
    }
    return false;
  }

  /** @throws Quarantined: it was decided on a state that the store has refused */
  checkSound(): void {
    const refused = this.#wait.unsound(this.#type, this.#id, this.#number, this.lastPosition);
    if (refused) throw refused;
  }

  /** Position of the group's last frame, events or not: everything that the command has seen or done is before it. */
  get lastPosition(): number {
    return this.#firstPosition + this.#frames - 1;
  }

  toJSON(): Shown {
    return shown(this, this.#firstPosition === 0 ? 'raised' : this.#wait.levelOf(this.lastPosition));
  }

  /** The group is in the log now; until then the receipt was of a command that is only `raised`. */
  written(firstPosition: number): void {
    this.#firstPosition = firstPosition;
    this.#number = this.#wait.nextReceipt();
    this.#events = undefined;
    this.position = this.#lastPositionOfEvents();
    this.#whenWritten?.resolve();
  }

  /** It was only `raised`, and will never be written. */
  lost(error: unknown): void {
    if (this.#firstPosition !== 0) return;
    this.#lost = error;
    this.#whenWritten?.reject(error);
  }

  async #written(signal: AbortSignal | undefined): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    this.#whenWritten ??= Promise.withResolvers();
    this.#whenWritten.promise.catch(() => {});
    return orAborted(this.#whenWritten.promise, signal);
  }
}

/** Levels at which another log may not have gone on before. */
const isConfirmed = (level: Level, { isStoreElsewhere }: LevelWait): boolean =>
  isStoreElsewhere && (level === 'stored' || level === 'published');

/** The stream takes what the log has; whether it counts, the store decides: so `published` is behind `stored`. */
export function whenConfirmed(
  wait: Pick<LevelWait, 'reached' | 'isStoreElsewhere'>,
  level: Level,
  position: number,
  signal: AbortSignal | undefined,
  patience: WaitBound | undefined,
): Promise<void> {
  const reached = wait.reached(level, position, signal, patience);
  if (level !== 'published' || !wait.isStoreElsewhere) return reached;
  return reached.then(() => wait.reached('stored', position, signal, patience));
}

/** The outcome of an earlier command with the same idempotency key. */
export class RepeatedReceipt implements Receipt<unknown> {
  readonly value: unknown;
  readonly version: number;
  readonly position: number;
  readonly events: readonly StoredEvent[];
  readonly #wait: LevelWait;

  readonly #reply: CommandReceipt;

  /** `reply`: the group that brought it. */
  constructor(value: unknown, version: number, events: StoredEvent[], reply: CommandReceipt, wait: LevelWait) {
    this.#reply = reply;
    this.value = value;
    this.version = version;
    this.events = Object.freeze(events);
    this.position = events.at(-1)?.position ?? reply.position;
    this.#wait = wait;
  }

  async reached(level: Level, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkLevel('level', level);
    checkSignalOptions('reached', options);
    options.signal?.throwIfAborted();
    return this.whenAt(level, options.signal).catch((error: unknown) => {
      throw heldUpBy(error);
    });
  }

  /** @throws WaitTimedOut */
  async whenAt(level: Level, signal?: AbortSignal, patience?: WaitBound): Promise<void> {
    await whenConfirmed(this.#wait, level, this.position, signal, patience);
    if (level !== 'stored' && level !== 'published') return;
    for (const { position } of this.events) checkStored(this.#wait, position, position);
    if (this.events.length === 0) this.#reply.checkSound();
  }

  toJSON(): Shown {
    return shown(this, this.#wait.levelOf(this.position));
  }
}

/** The store has come there: with these, or past them? @throws Quarantined */
function checkStored(wait: LevelWait, from: number, to: number): void {
  const refused = wait.refused(from, to);
  if (refused) throw refused;
}

for (const { prototype } of [CommandReceipt, RepeatedReceipt]) {
  Object.defineProperty(prototype, inspect.custom, { value: prototype.toJSON });
}
