// An iteration over items that come in pages, which can be given up while it waits. An async generator cannot: its `return()`
// queues behind a `next()` that is pending, so who gives up a follower would wait for an event that may never come.
//
// Invariants: items come in the order of their pages; calls of `next()` that overlap are answered in the order of the calls.
// After `return()`, a failure or the end, nothing more is read: the pages' signal is aborted, and listeners are removed.
import { unawaited } from './guarded.ts';
import { onAbort } from './on-abort.ts';

export class PagedIterator<Item> implements AsyncIterableIterator<Item> {
  private readonly pages: AsyncIterator<readonly Item[]>;
  private readonly ending = new AbortController();
  private readonly forget: () => void;
  private page: readonly Item[] = [];
  private index = 0;
  private isOver = false;
  /** Settles when every `next()` that has had to wait has been answered. */
  private turn: Promise<unknown> | undefined;

  /** `pages`: reads them; ends, or throws the signal's reason, as soon as the signal aborts. */
  constructor(pages: (signal: AbortSignal) => AsyncIterator<readonly Item[]>, signal: AbortSignal | undefined) {
    this.pages = pages(this.ending.signal);
    this.forget = onAbort(signal, () => this.ending.abort(signal!.reason));
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.turn === undefined && this.index < this.page.length && !this.ending.signal.aborted) {
      return Promise.resolve({ done: false, value: this.page[this.index++]! });
    }
    const answer = this.turn === undefined ? this.step() : this.turn.then(() => this.step());
    const turn: Promise<unknown> = answer.then(
      () => this.settled(turn),
      () => this.settled(turn),
    );
    this.turn = turn;
    return answer;
  }

  private settled(turn: Promise<unknown>): void {
    if (this.turn === turn) this.turn = undefined;
  }

  private async step(): Promise<IteratorResult<Item, undefined>> {
    try {
      while (!this.isOver) {
        this.ending.signal.throwIfAborted();
        if (this.index < this.page.length) return { done: false, value: this.page[this.index++]! };
        const { done, value } = await this.pages.next();
        if (done) break;
        this.page = value;
        this.index = 0;
      }
    } catch (error) {
      if (!this.isOver) {
        this.end();
        throw error;
      }
    }
    this.end();
    return { done: true, value: undefined };
  }

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.page = [];
    this.forget();
    this.ending.abort();
    unawaited(Promise.resolve(this.pages.return?.()), () => {}); // its error has been reported, or no `next()` waits for it
  }

  /** Ends it, and each `next()` that is pending, at once. */
  async return(): Promise<IteratorResult<Item, undefined>> {
    this.end();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<Item, undefined>> {
    this.end();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
  }
}
