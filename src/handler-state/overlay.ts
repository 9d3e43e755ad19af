// What lies over the store: changes that are staged, and those that a commit is carrying there now. Owned by the host
// thread.
//
// Invariant: who reads the store while commits come and go sees each change that was here when the reading began, or has come
// since, however many commits have ended meanwhile: the layers that a reading may need stay until it has ended. A layer holds
// JSON text, never an object: what one reader changes in what it was given reaches neither another reader nor the store.
import type { Change } from './handler-state-store.ts';

/** Under `table \0 key`, in the order of the last changes. */
export type Layer = ReadonlyMap<string, Change>;

export const fullKey = (table: string, key: string): string => `${table}\0${key}`;

export class Overlay {
  private staged = new Map<string, Change>();
  private committing: Layer = new Map();
  /** Of each reading in progress, the layers since it began, oldest first. */
  private readonly readings = new Set<Layer[]>();

  /** Changes that no commit carries yet. */
  get size(): number {
    return this.staged.size;
  }

  /** Changes in all. */
  get total(): number {
    return this.staged.size + this.committing.size;
  }

  get(full: string): Change | undefined {
    return this.staged.get(full) ?? this.committing.get(full);
  }

  stage(full: string, change: Change): void {
    this.staged.delete(full);
    this.staged.set(full, change);
  }

  /** A commit begins: what it is to carry. */
  begin(): Layer {
    this.committing = this.staged;
    this.staged = new Map();
    for (const layers of this.readings) layers.push(this.staged);
    return this.committing;
  }

  /** The commit has ended: the store has it. */
  end(): void {
    this.committing = new Map();
  }

  /** There will be no such commit. */
  takeBack(): void {
    this.staged = new Map([...this.committing, ...this.staged]);
    this.committing = new Map();
    for (const layers of this.readings) layers.push(this.staged);
  }

  /** What was read, and what has lain over it since the reading began: later layers count for more. */
  async during<T>(reading: Promise<T>): Promise<[T, readonly Layer[]]> {
    const layers = [this.committing, this.staged];
    this.readings.add(layers);
    try {
      return [await reading, layers];
    } finally {
      this.readings.delete(layers);
    }
  }
}
