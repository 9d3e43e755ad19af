// Outcomes of commands with an idempotency key: each is a frame in its command's own group, and is found again in memory
// until this machine's environment has it, then there.
import { FrameKind } from '../frame.ts';
import { writeNewId } from '../ids.ts';
import { toJson } from '../payload.ts';
import type { Outcome } from '../receipt.ts';
import type { RingProducer } from '../ring/producer.ts';
import { type Actor, sentKeyPrefix } from './actor.ts';
import type { Command } from './command.ts';
import type { Execution } from './execution.ts';
import type { Loader } from './loader.ts';
import { type Remembered, RememberedOutcomes } from './remembered.ts';

// A message is delivered again after a restart until the log knows that it is done: its outcome must outlive the log.
const sentTtlMs = 30 * 86_400_000;

export class Outcomes {
  private readonly ring: RingProducer;
  private readonly loader: Loader;
  private readonly ttlMs: number;
  private readonly remembered = new RememberedOutcomes();

  constructor(ring: RingProducer, loader: Loader, ttlMs: number) {
    this.ring = ring;
    this.loader = loader;
    this.ttlMs = ttlMs;
  }

  /** Put the outcome into the command's own group, so that a repetition finds it, whatever happens in between. */
  keep(execution: Execution, result: Pick<Outcome, 'value' | 'error'>, now: number): Outcome {
    const { actor, command } = execution;
    const ttlMs = command.key.startsWith(sentKeyPrefix) ? sentTtlMs : this.ttlMs;
    const outcome: Outcome = { ...result, events: execution.events, expiresAt: now + ttlMs };
    const { name } = actor.type;
    const data = toJson(outcome, 'result');
    const { version, id } = actor;
    const offset = this.ring.frame(FrameKind.receipt, 0, now, version, name, id, command.key, '', data);
    writeNewId(this.ring.frames.bytes, offset + 16, now);
    return outcome;
  }

  /** The command's group has been published. */
  published(actor: Actor, command: Command, outcome: Outcome): void {
    const key = RememberedOutcomes.key(actor.type.name, actor.id, command.key);
    this.remembered.add(key, { version: actor.version, outcome }, this.ring.published);
  }

  /** The first outcome of a command with this one's key; undefined if there was none, or it has expired. */
  first(actor: Actor, command: Command, now: number): Remembered | undefined {
    const { name } = actor.type;
    const first =
      this.remembered.get(RememberedOutcomes.key(name, actor.id, command.key)) ??
      this.loader.outcome(name, actor.id, command.key);
    return first !== undefined && first.outcome.expiresAt > now ? first : undefined;
  }

  /** What is in this machine's environment is found there. */
  forget(storedBytes: number): void {
    this.remembered.forget(storedBytes);
  }
}
