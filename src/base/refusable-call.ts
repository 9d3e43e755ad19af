// The promise of a call that code of the user's makes while it runs (see `running.ts`), where the call ends only behind code
// that runs. The call itself is not refused, since it need not be awaited. An await that would wait for its own end is, with the
// cycle. Host thread.
//
// - `then` tells an await from a callback: `await`, `return` in an async function and `Promise.all` hand over two functions of
//   the engine's own. `.then(ok)`, `.catch(log)` and `.finally(done)` wait for nothing. What they return is such a promise again:
//   an await of it is found, too, and its refusal passes through them.
// - An await waits for the call where no code of the user's runs, or where that code has ended.
// - The verdict comes one turn of the event loop after the await: what has returned by then does not wait.
import { yieldToLoop } from './clock.ts';
import { TrunklineError } from './errors.ts';
import { unawaited } from './guarded.ts';
import { type Awaited, caller, cycleTo, type Running } from './running.ts';

/** What an await within `from` is refused with. */
export type RefusalOf = (from: Running, chain: string[]) => Error;

type Refuse = (error: Error) => void;

/** An await of a call, in code that runs. */
interface Wait {
  readonly from: Running;
  /** Resolves when what it waits for has ended. Native: code of ours that awaits it is no await of the user's. */
  readonly ended: Promise<unknown>;
  readonly refuse: Refuse;
  isNoted: boolean;
}

/** The awaits of one call in code that runs. */
class Waits {
  /** Of the last one that was refused. */
  refusal: Error | undefined;
  private readonly awaited: Awaited;
  private readonly refusalOf: RefusalOf;
  private readonly open = new Set<Wait>();

  constructor(awaited: Awaited, refusalOf: RefusalOf) {
    this.awaited = awaited;
    this.refusalOf = refusalOf;
  }

  add(wait: Wait): void {
    this.open.add(wait);
    wait.ended.then(() => this.open.delete(wait));
    unawaited(yieldToLoop().then(() => this.judge()));
  }

  /** Refuse those that would wait for themselves; of the others it is known that they wait. */
  judge(): void {
    for (const wait of this.open) {
      const { from, ended, refuse } = wait;
      const chain = from.hasEnded ? undefined : cycleTo(from, this.awaited);
      if (chain !== undefined) {
        this.open.delete(wait);
        this.refusal = this.refusalOf(from, chain);
        refuse(this.refusal);
      } else if (!wait.isNoted) {
        wait.isNoted = true;
        unawaited(from.waitFor(this.awaited, ended));
      }
    }
  }
}

class RefusableCall<T> extends Promise<T> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  readonly #waits: Waits;
  /** Refuses what this one comes of. Undefined: it is the call, and each `then` of it is refused by itself. */
  readonly #refuse: Refuse | undefined;

  constructor(work: Promise<T>, waits: Waits, refuse?: Refuse) {
    super((resolve) => resolve(work));
    this.#waits = waits;
    this.#refuse = refuse;
    if (refuse === undefined) super.then(undefined, () => {}); // the call need not be awaited
  }

  // biome-ignore lint/suspicious/noThenProperty: a promise has one
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const from = caller();
    if (from === undefined) return super.then(fulfilled, rejected);
    const { promise, refuse } = this.#branch();
    const next = promise === this ? super.then(fulfilled, rejected) : promise.then(fulfilled, rejected);
    if (!isOfEngine(fulfilled) || !isOfEngine(rejected)) return new RefusableCall(next, this.#waits, refuse);
    this.#waits.add({ from, ended: endOf(promise), refuse, isNoted: false });
    return next;
  }

  /** By functions of our own: the engine's would look like an await. */
  override finally(done?: (() => void) | null): Promise<T> {
    return this.then(
      async (value) => {
        await done?.();
        return value;
      },
      async (error) => {
        await done?.();
        throw error;
      },
    );
  }

  /** What can be refused. */
  #branch(): { promise: Promise<T>; refuse: Refuse } {
    if (this.#refuse !== undefined) return { promise: this, refuse: this.#refuse };
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    super.then(resolve, reject);
    return { promise, refuse: reject };
  }
}

/** Not by a `then` that is overridden. */
const endOf = (promise: Promise<unknown>): Promise<unknown> => Promise.prototype.then.call(promise, nothing, nothing);

const nothing = (): void => {};

/** A resolving function of the engine's has no name; a bound one of the user's has. */
const isOfEngine = (callback: unknown): boolean =>
  typeof callback === 'function' &&
  callback.name === '' &&
  /\[native code\]\s*\}$/.test(Function.prototype.toString.call(callback));

/** As an error names the call: `close()`. */
const waitsForItself =
  (call: string): RefusalOf =>
  (from, chain) =>
    new TrunklineError('WaitsForItself', { call, within: from.what, chain });

/**
 * The promise of `work`, which has begun and goes on whatever an await of it is refused with. Return it as it is: an async
 * function would await it.
 */
export function awaitedOutside<T>(awaited: Awaited, call: string | RefusalOf, work: Promise<T>): Promise<T> {
  if (caller() === undefined) return work;
  return new RefusableCall(work, new Waits(awaited, typeof call === 'string' ? waitsForItself(call) : call));
}

/** The same for work that begins when `ready` has resolved, and not at all if it has been awaited and refused by then. */
export function doneOutside<T>(
  awaited: Awaited,
  call: string,
  work: () => Promise<T>,
  ready?: Promise<unknown>,
): Promise<T> {
  if (caller() === undefined) return ready === undefined ? work() : ready.then(work);
  const waits = new Waits(awaited, waitsForItself(call));
  const begun = async (): Promise<T> => {
    await ready;
    await yieldToLoop();
    waits.judge();
    if (waits.refusal !== undefined) throw waits.refusal;
    return work();
  };
  return new RefusableCall(begun(), waits);
}
