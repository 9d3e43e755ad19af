// Versions of entities that this runtime has published and this machine's environment does not have yet.
import type { ControlBlock } from '../shared/control-block.ts';
import { hurrySync } from '../shared/log-signals.ts';

const learnedLimit = 10_000;

export class Heads {
  private readonly control: ControlBlock;
  private readonly storedHead: (type: string, id: string) => { version: number } | undefined;
  /** In the order in which each was last published, so that what the store has gone past is at the front. */
  private readonly recent = new Map<string, { version: number; position: number }>();
  /** What the store on another machine has answered about entities that this process did not know. */
  private readonly learned = new Map<string, number>();

  constructor(control: ControlBlock, storedHead: (type: string, id: string) => { version: number } | undefined) {
    this.control = control;
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

  /** How many of them there are. */
  get size(): number {
    return this.recent.size;
  }

  /** Whether there may be more; if not, the store is made to hurry. */
  hasRoom(limit: number): boolean {
    if (this.recent.size < limit) return true;
    this.forget();
    if (this.recent.size < limit) return true;
    hurrySync(this.control);
    return false;
  }

  /** In flight: its position is not known yet. */
  publishing(type: string, id: string, version: number): void {
    this.put(`${type}\0${id}`, { version, position: Number.POSITIVE_INFINITY });
  }

  written(type: string, id: string, version: number, position: number): void {
    const head = this.recent.get(`${type}\0${id}`);
    if (!head || head.version < version) this.put(`${type}\0${id}`, { version, position });
    else if (head.version === version) head.position = position;
    this.forget();
  }

  private put(key: string, head: { version: number; position: number }): void {
    this.recent.delete(key);
    this.recent.set(key, head);
  }

  /** The oldest entries go as soon as the store has them. */
  private forget(): void {
    const stored = this.control.position('remembered');
    for (const [key, head] of this.recent) {
      if (head.position > stored) return;
      this.recent.delete(key);
    }
  }
}
