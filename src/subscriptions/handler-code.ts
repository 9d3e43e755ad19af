// A handler's code as the attempts call it: what of it runs is known, so that a call that would wait for its own end is refused
// (see `running.ts`). Owned by the host thread.

import { type Awaited, type Running, RunningCode } from '../base/running.ts';
import { isThenable } from '../base/thenable.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Attempt, Subject } from './attempt.ts';

/** What is handed over: an event, or the events of a batch. */
export type HandlerFn = (subject: any, attempt: Attempt) => unknown;

export class HandlerCode implements Awaited {
  /** As errors name it. */
  private readonly what: string;
  private readonly handle: HandlerFn;
  /** In threads of its own: there is no runtime to call. */
  private readonly isElsewhere: boolean;
  private readonly code = new RunningCode();

  constructor(name: string, handle: HandlerFn, isElsewhere: boolean) {
    this.what = `handler '${name}'`;
    this.handle = handle;
    this.isElsewhere = isElsewhere;
  }

  /** `isAsked`: for a user (a letter, a replay), not as an event in its order. Who awaits what it returns calls `attempt.running.end()`. */
  call(subject: Subject, attempt: Attempt, isAsked: boolean): unknown {
    if (this.isElsewhere) return this.handle(subject, attempt);
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
