// Code of the user's that runs and that calls of ours may wait for: an attempt of a handler, an effect of once(), the commit of a
// unit of work. A call from inside of it that ends only after it has ended would, awaited there, wait for itself, for as long as
// its bound lasts: that is refused, with the cycle. Host thread.
//
// - Node's asynchronous context says which code a call comes from, and which code awaits it; what comes from elsewhere (a timer
//   that outlives the code) is not refused.
// - What a call waits for is asked at the moment of the verdict (`Awaited`), and noted while it waits: so a cycle over several
//   handlers and effects is refused where it would close.
// - A call need not be awaited: `refusable-call.ts` tells which one is, and refuses.
// - Code that is out of time is waited for no longer: it has ended here, though it may go on by itself.
import { AsyncLocalStorage } from 'node:async_hooks';

/** What a call waits for the end of, as it is now. */
export interface Awaited {
  running(): Iterable<Running>;
}

const context = new AsyncLocalStorage<Running | undefined>();

/** One piece of code that runs. */
export class Running implements Awaited {
  /** As an error names it: `handler 'billing'`. */
  readonly what: string;
  /** The code that has called what runs this, and waits for it. */
  readonly outer: Running | undefined;
  /** Of an event in its order: its position, the first one of a batch; undefined: nothing waits for it by its position. */
  readonly position: number | undefined;
  hasEnded = false;
  private readonly home: Set<Running>;
  private waits: Set<{ readonly awaited: Awaited }> | undefined;
  private inner: Set<Running> | undefined;

  private constructor(what: string, home: Set<Running>, outer: Running | undefined, position: number | undefined) {
    this.what = what;
    this.home = home;
    this.outer = outer;
    this.position = position;
  }

  /** It begins: what it is part of can be asked for it. */
  private begin(): this {
    this.home.add(this);
    this.outer?.contains(this);
    return this;
  }

  private contains(one: Running): void {
    this.inner ??= new Set();
    this.inner.add(one);
  }

  /** Use `RunningCode.begin`. */
  static begin(what: string, home: Set<Running>, outer: Running | undefined, position: number | undefined): Running {
    return new Running(what, home, outer, position).begin();
  }

  /** Run code of the user's as this. */
  run<T>(work: () => T): T {
    return context.run(this, work);
  }

  /** The same without a closure: of a function that is called for each event. */
  call<First, Second, T>(work: (first: First, second: Second) => T, first: First, second: Second): T {
    return context.run(this, work, first, second);
  }

  end(): void {
    this.hasEnded = true;
    this.home.delete(this);
    this.outer?.inner?.delete(this);
  }

  /** It waits for that until `work` has ended. */
  async waitFor<T>(awaited: Awaited, work: Promise<T>): Promise<T> {
    const wait = { awaited };
    this.waits ??= new Set();
    this.waits.add(wait);
    try {
      return await work;
    } finally {
      this.waits.delete(wait);
    }
  }

  *running(): Iterable<Running> {
    if (!this.hasEnded) yield this;
  }

  /** Whose ends this one's end waits for. */
  *next(): Iterable<Running> {
    for (const { awaited } of this.waits ?? []) yield* awaited.running();
    yield* this.inner ?? [];
  }
}

/** All that runs of a kind: the attempts of one subscription, say. */
export class RunningCode implements Awaited {
  private readonly all = new Set<Running>();

  begin(what: string, outer?: Running | undefined, position?: number | undefined): Running {
    return Running.begin(what, this.all, outer, position);
  }

  running(): Iterable<Running> {
    return this.all;
  }

  /** Events in their order, up to this position. */
  upTo(position: number): Awaited {
    const { all } = this;
    return {
      *running() {
        for (const one of all) if (one.position !== undefined && one.position <= position) yield one;
      },
    };
  }
}

/** The code that calls, if it still runs: it may wait for the call. */
export function caller(): Running | undefined {
  let found = context.getStore();
  while (found?.hasEnded) found = found.outer;
  return found;
}

/** Call what is no part of the code that happens to run now. */
export function detached<Argument, Result>(work: (argument: Argument) => Result, argument: Argument): Result {
  return context.getStore() === undefined ? work(argument) : context.run(undefined, work, argument);
}

/** The same for what takes two. */
export function detachedCall<First, Second, Result>(
  work: (first: First, second: Second) => Result,
  first: First,
  second: Second,
): Result {
  return context.getStore() === undefined ? work(first, second) : context.run(undefined, work, first, second);
}

/** How the end of what is awaited waits for the code that calls: the names on the way; undefined: it does not. */
export function cycleTo(from: Running, awaited: Awaited): string[] | undefined {
  const cameFrom = new Map<Running, Running | undefined>();
  const open: Running[] = [];
  const meet = (found: Iterable<Running>, before: Running | undefined): void => {
    for (const one of found) {
      if (cameFrom.has(one)) continue;
      cameFrom.set(one, before);
      open.push(one);
    }
  };
  meet(awaited.running(), undefined);
  for (let one = open.shift(); one !== undefined; one = open.shift()) {
    for (let above: Running | undefined = from; above !== undefined; above = above.outer) {
      if (above !== one) continue;
      const chain: string[] = [];
      for (let step: Running | undefined = one; step !== undefined; step = cameFrom.get(step)) chain.unshift(step.what);
      return chain;
    }
    meet(one.next(), one);
  }
  return undefined;
}
