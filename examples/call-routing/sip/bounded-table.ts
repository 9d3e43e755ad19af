// A map with a limit and a lifetime for each entry: what holds transactions and dialogs. When it is full, `hasRoomFor`
// says so, and the work is refused; nothing is evicted early.
interface Entry<Value> {
  readonly value: Value;
  expiresAt: number;
}

export class BoundedTable<Value> {
  readonly limit: number;
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #onExpiry: (value: Value, key: string) => void;
  readonly #sweep: NodeJS.Timeout;

  constructor(limit: number, onExpiry: (value: Value, key: string) => void, sweepEveryMs = 1_000) {
    this.limit = limit;
    this.#onExpiry = onExpiry;
    this.#sweep = setInterval(() => this.#expire(performance.now()), sweepEveryMs).unref();
  }

  get size(): number {
    return this.#entries.size;
  }

  hasRoomFor(count: number): boolean {
    return this.#entries.size + count <= this.limit;
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: string, value: Value, lifetimeMs: number): void {
    this.#entries.set(key, { value, expiresAt: performance.now() + lifetimeMs });
  }

  /** Give an entry another lifetime from now on. */
  keep(key: string, lifetimeMs: number): void {
    const entry = this.#entries.get(key);
    if (entry) entry.expiresAt = performance.now() + lifetimeMs;
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }

  *values(): Generator<Value> {
    for (const { value } of this.#entries.values()) yield value;
  }

  stop(): void {
    clearInterval(this.#sweep);
    this.#entries.clear();
  }

  #expire(now: number): void {
    for (const [key, { value, expiresAt }] of this.#entries) {
      if (expiresAt > now) continue;
      this.#entries.delete(key);
      this.#onExpiry(value, key);
    }
  }
}
