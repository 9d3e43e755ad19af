// Versions of entities that this runtime has published and this machine's environment does not have yet.
import type { Levels } from '../log/levels.ts';

const learnedLimit = 10_000;

export class Heads {
  private readonly levels: Levels;
  private readonly storedHead: (type: string, id: string) => { version: number } | undefined;
  private readonly recent = new Map<string, { version: number; position: number }>();
  /** What a store elsewhere has told of those that nobody here knew. */
  private readonly learned = new Map<string, number>();

  constructor(levels: Levels, storedHead: (type: string, id: string) => { version: number } | undefined) {
    this.levels = levels;
    this.storedHead = storedHead;
  }

  version(type: string, id: string): number {
    const key = `${type}\0${id}`;
    return this.recent.get(key)?.version ?? this.storedHead(type, id)?.version ?? this.learned.get(key) ?? 0;
  }

  isKnown(type: string, id: string): boolean {
    const key = `${type}\0${id}`;
    return this.recent.has(key) || this.storedHead(type, id) !== undefined || this.learned.has(key);
  }

  /** `together`: so many are wanted at once; none of them goes for another. */
  learn(type: string, id: string, version: number, together = 1): void {
    if (this.learned.size >= Math.max(learnedLimit, together)) this.learned.delete(this.learned.keys().next().value!);
    this.learned.set(`${type}\0${id}`, version);
  }

  /** Another log has written it: what is known here is not true any more. */
  forgetOne(type: string, id: string): void {
    this.recent.delete(`${type}\0${id}`);
    this.learned.delete(`${type}\0${id}`);
  }

  /** On its way: position is not known yet. */
  publishing(type: string, id: string, version: number): void {
    this.recent.set(`${type}\0${id}`, { version, position: Number.POSITIVE_INFINITY });
  }

  written(type: string, id: string, version: number, position: number): void {
    const head = this.recent.get(`${type}\0${id}`);
    if (!head || head.version < version) this.recent.set(`${type}\0${id}`, { version, position });
    else if (head.version === version) head.position = position;
    this.forget();
  }

  /** The oldest entries go as soon as the store has them. */
  private forget(): void {
    const stored = this.levels.position('remembered');
    for (const [key, head] of this.recent) {
      if (head.position > stored) return;
      this.recent.delete(key);
    }
  }
}
