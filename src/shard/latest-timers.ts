// Which timer of a live aggregate waits under a name, as its own commands have last said. A timer's command that the host has sent
// before it has read that the timer was cancelled, or replaced, is not executed. Owned by the shard's thread.
//
// What a command has said is needed until no such command can be in the command ring: the host has read the group (`tail`), and
// what it had sent by then has been taken from the ring. So it is forgotten, however many names an aggregate uses.
import { messageInKey } from '../model/receipt.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import type { RingProducer } from '../shared/ring/producer.ts';

/** Two generations: while the earlier one waits to be forgotten, what comes is noted in the other. */
interface Generation {
  readonly latest: Map<string, string>;
  /** Where in the event ring the last of it ends. */
  published: number;
  /** Where the command ring ended once the host had read that; undefined: it has not. */
  commands: number | undefined;
}

const begun = (): Generation => ({ latest: new Map(), published: 0, commands: undefined });

export class LatestTimers {
  private readonly events: RingProducer;
  private readonly commands: RingConsumer;
  private earlier: Generation | undefined;
  private current = begun();

  constructor(events: RingProducer, commands: RingConsumer) {
    this.events = events;
    this.commands = commands;
  }

  /** Whether nothing of it is still needed. */
  mayGo(): boolean {
    this.forget();
    return this.earlier === undefined && this.current.latest.size === 0;
  }

  /** `said`: by name the id of the timer that waits; '': none. `published`: where the group ends in the event ring. */
  note(said: ReadonlyMap<string, string>, published: number): void {
    for (const [name, id] of said) this.current.latest.set(name, id);
    this.current.published = published;
    this.forget();
  }

  /** Whether a timer's command may be executed, as far as is known here. */
  isLatest(key: string): boolean {
    const { id, timer: name } = messageInKey(key);
    if (name === undefined) return true;
    const latest = this.current.latest.get(name) ?? this.earlier?.latest.get(name);
    return latest === undefined || latest === id;
  }

  private forget(): void {
    if (this.earlier === undefined) {
      if (this.current.latest.size === 0) return;
      this.earlier = this.current;
      this.current = begun();
    }
    const { published, commands } = this.earlier;
    if (commands === undefined) {
      if (this.events.tail() >= published) this.earlier.commands = this.commands.published();
    } else if (this.commands.cursor >= commands) {
      this.earlier = undefined;
    }
  }
}
