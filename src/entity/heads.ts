// Versions of entities that this runtime has published and the store does not have yet.
import type { Levels } from '../log/levels.ts';

export class Heads {
  private readonly levels: Levels;
  private readonly storedHead: (type: string, id: string) => { version: number } | undefined;
  private readonly recent = new Map<string, { version: number; position: number }>();

  constructor(levels: Levels, storedHead: (type: string, id: string) => { version: number } | undefined) {
    this.levels = levels;
    this.storedHead = storedHead;
  }

  version(type: string, id: string): number {
    return this.recent.get(`${type}\0${id}`)?.version ?? this.storedHead(type, id)?.version ?? 0;
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
    const stored = this.levels.position('stored');
    for (const [key, head] of this.recent) {
      if (head.position > stored) return;
      this.recent.delete(key);
    }
  }
}
