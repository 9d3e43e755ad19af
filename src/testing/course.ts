// A stretch of virtual time in a test: the command itself, or the timers' commands of a span, one after the other.

import { fail } from 'node:assert/strict';
import { userJson } from '../base/json.ts';
import { isThenable } from '../base/thenable.ts';
import type { EventOf, StateOf } from '../model/aggregate.ts';
import type { StoredEvent } from '../model/event.ts';
import { Actor } from '../shard/actor.ts';
import { type Timer, timerName } from '../wire/timer.ts';
import { type Call, type Ran, runCommand, type Sent } from './command-run.ts';
import type { GivenOptions, Outcome, WaitingTimer } from './contract.ts';

/** Where a test has come to. Nothing changes it, so a test may go on from it more than once. */
export interface Moment {
  readonly actor: Actor;
  /** Those that wait, by the keys of their frames, in the order in which they were set. */
  readonly timers: ReadonlyMap<string, Timer>;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** What has failed, in words, and with what. */
export interface Failure {
  readonly of: string;
  readonly error: unknown;
  /** Before this stretch, which has executed nothing then. */
  readonly isEarlier: boolean;
}

/** A stretch that is over. */
export interface CameTo<A> extends Moment {
  /** What was executed in it, in words. */
  readonly of: string;
  readonly outcome: Outcome<A>;
  readonly failure: Failure | undefined;
}

/** More than a test means: timers that set each other at the same moment would never let it go on. */
const commandsMost = 10_000;

/** The command that a test tries. */
export function courseOfCommand<A>(from: Moment, call: Call, options: GivenOptions): CameTo<A> | Promise<CameTo<A>> {
  const course = new Course<A>(from, options, 'the command');
  const failed = (error: unknown): CameTo<A> => course.end({ of: 'the command', error, isEarlier: false });
  const succeeded = (ran: Ran): CameTo<A> => {
    course.add(ran);
    return course.end(undefined, ran.value);
  };
  try {
    const ran = course.execute(call);
    return isThenable(ran) ? ran.then(succeeded, failed) : succeeded(ran);
  } catch (error) {
    return failed(error);
  }
}

/** The timers' commands that are due within so many milliseconds, also those that such a command sets. */
export function courseOfTimers<A>(
  from: CameTo<A>,
  delayMs: number,
  options: GivenOptions,
): CameTo<A> | Promise<CameTo<A>> {
  const course = new Course<A>(from, options, "the timers' commands");
  if (from.failure !== undefined) return course.end({ ...from.failure, isEarlier: true });
  return course.pass(from.nowMs + delayMs);
}

class Course<A> {
  private readonly actor: Actor;
  private readonly waiting: Map<string, Timer>;
  private nowMs: number;
  private readonly options: GivenOptions;
  private readonly of: string;
  private readonly events: StoredEvent[] = [];
  private readonly sent: Sent[] = [];
  /** Of the moment. */
  private commands = 0;

  constructor({ actor: { type, id, state, version }, timers, nowMs }: Moment, options: GivenOptions, of: string) {
    this.actor = new Actor(type, id, state, version, 0);
    this.waiting = new Map(timers);
    this.nowMs = nowMs;
    this.options = options;
    this.of = of;
  }

  execute(call: Call): Ran | Promise<Ran> {
    if (++this.commands > commandsMost)
      fail(`more than ${commandsMost} commands of timers at one moment: do they set each other without end?`);
    return runCommand(this.actor, call, this.options, this.nowMs);
  }

  add({ events, sent, timers }: Ran): void {
    this.events.push(...events);
    this.sent.push(...sent);
    for (const { key, timer } of timers) {
      this.waiting.delete(key); // one that replaces another was set last
      if (timer !== undefined) this.waiting.set(key, timer);
    }
  }

  /** Virtual time moves on: what is due is executed. */
  pass(untilMs: number): CameTo<A> | Promise<CameTo<A>> {
    for (;;) {
      const due = this.takeDue(untilMs);
      if (due === undefined) break;
      const { command, inputJson, metadataJson } = due.message;
      const failed = (error: unknown): CameTo<A> =>
        this.end({ of: `the timer's command '${command}'`, error, isEarlier: false });
      this.moveOn(due.dueMs);
      try {
        const ran = this.execute({ command, input: userJson(inputJson), metadataJson });
        if (isThenable(ran)) return this.passOn(ran, untilMs, failed);
        this.add(ran);
      } catch (error) {
        return failed(error);
      }
    }
    this.moveOn(untilMs);
    return this.end();
  }

  private async passOn(ran: Promise<Ran>, untilMs: number, failed: (error: unknown) => CameTo<A>): Promise<CameTo<A>> {
    try {
      this.add(await ran);
    } catch (error) {
      return failed(error);
    }
    return this.pass(untilMs);
  }

  /** Never back: a timer may have been set for a date that had passed. */
  private moveOn(toMs: number): void {
    if (toMs <= this.nowMs) return;
    this.nowMs = toMs;
    this.commands = 0;
  }

  /** Of those that are due by then the one that is due first; of the same date, the one that was set first. */
  private takeDue(untilMs: number): Timer | undefined {
    let first: [key: string, timer: Timer] | undefined;
    for (const one of this.waiting) if (one[1].dueMs < (first?.[1].dueMs ?? Number.POSITIVE_INFINITY)) first = one;
    if (first === undefined || first[1].dueMs > untilMs) return undefined;
    this.waiting.delete(first[0]);
    return first[1];
  }

  end(failure?: Failure, value?: unknown): CameTo<A> {
    const { actor, waiting: timers, nowMs, of, events, sent } = this;
    const pending = [...timers.values()].sort((a, b) => a.dueMs - b.dueMs).map((timer) => pendingOf(timer, nowMs));
    const outcome: Outcome<A> = {
      value,
      events: events as unknown as readonly EventOf<A>[],
      state: actor.state as StateOf<A>,
      version: actor.version,
      sent,
      timers: pending,
    };
    return { actor, timers, nowMs, of, outcome, failure };
  }
}

function pendingOf({ message, dueMs }: Timer, nowMs: number): WaitingTimer {
  const name = timerName(message);
  const { command, inputJson } = message;
  return {
    ...(name === undefined ? undefined : { name }),
    ...{ dueInMs: Math.max(0, dueMs - nowMs), command, input: userJson(inputJson) },
  };
}
