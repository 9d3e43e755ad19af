// A handler's code as the attempts call it: what of it runs is known, so that a call that would wait for its own end is refused
// (see `running.ts`). Owned by the host thread.

import { type Awaited, detachedCall, type Running, RunningCode } from '../base/running.ts';
import { isThenable } from '../base/thenable.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Attempt, Subject } from './attempt.ts';

/** What is handed over: an event, or the events of a batch. */
export type HandlerFn = (subject: any, attempt: Attempt) => unknown;

export class HandlerCode implements Awaited {
  /** As errors name it. */
  private readonly what: string;
  private readonly handle: HandlerFn;
  /** In threads of its own, or a projection's `apply`, which returns no promise: it awaits nothing of ours. */
  private readonly awaitsNothing: boolean;
  private readonly code = new RunningCode();

  constructor(name: string, handle: HandlerFn, awaitsNothing: boolean) {
    this.what = `handler '${name}'`;
    this.handle = handle;
    this.awaitsNothing = awaitsNothing;
  }

  /** `isAsked`: for a user (a letter, a replay), not as an event in its order. Who awaits what it returns calls `attempt.running.end()`. */
  call(subject: Subject, attempt: Attempt, isAsked: boolean): unknown {
    if (this.awaitsNothing) return detachedCall(this.handle, subject, attempt); // this turn may have begun in a handler's call
    const running = this.code.begin(this.what, undefined, isAsked ? undefined : positionOf(subject));
    attempt.running = running;
    let isAwaited = false;
    try {
      const result = running.call(this.handle, subject, attempt);
      isAwaited = isThenable(result); // once, by the attempt: a thenable may do its work each time that it is awaited
      return result;
    } finally {
      if (!isAwaited) running.end();
    }
  }

  running(): Iterable<Running> {
    return this.code.running();
  }

  upTo(position: number): Awaited {
    return this.code.upTo(position);
  }
}

const positionOf = (subject: Subject): number | undefined =>
  Array.isArray(subject) ? (subject[0] as StoredEvent | undefined)?.position : (subject as StoredEvent).position;
