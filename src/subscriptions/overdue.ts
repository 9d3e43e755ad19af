// Calls that have outlived their attempts: nothing but their own code can end them. The next call of the same aggregate waits
// for that, so that of one aggregate there is one call at a time also after a time-out. Owned by the host thread.
//
// One waits at most: an aggregate's events come one after the other (see event-dispatcher.ts, batch-collector.ts).

export class OverdueCalls {
  private readonly running = new Map<string, { next: (() => void) | undefined }>();

  get isEmpty(): boolean {
    return this.running.size === 0;
  }

  add(key: string, call: PromiseLike<unknown>): void {
    const entry: { next: (() => void) | undefined } = { next: undefined };
    this.running.set(key, entry);
    const end = (): void => {
      this.running.delete(key);
      entry.next?.();
    };
    call.then(end, end);
  }

  /** `go` is called when the call under this key has ended, unless what is returned is called first. undefined: none runs. */
  wait(key: string, go: () => void): (() => void) | undefined {
    const entry = this.running.get(key);
    if (entry === undefined) return undefined;
    entry.next = go;
    return () => {
      entry.next = undefined;
    };
  }
}
