// What has become synced, read once and handed to every live subscription that wants it. Owned by the host thread.
//
// Invariants: a subscription joins exactly behind what it has taken, and leaves exactly before what it has not: no gap, no
// seam. Nothing is handed out that power loss could still take from the log.

import { performance, setTimeout, yieldToLoop } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';
import { isThenable } from '../base/thenable.ts';
import type { StoredEvent } from '../model/event.ts';
import { isSplit } from '../model/evolved-event.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import type { History, PageReader } from '../store/history.ts';
import { Again } from './again.ts';

/** A live subscription, as the feed sees it. */
export interface Follower {
  /** undefined: all */
  readonly types: ReadonlySet<string> | undefined;
  /** Take the event, or leave. */
  offer(event: StoredEvent): void;
  /** The feed has passed `position`. */
  passed(position: number): void;
}

const pageSize = 1000;
/** Handlers that return at once run in the feed's turn; others get theirs after so long. */
export const sliceMs = 4;
const eventsPerLook = 16;
const retryMs = 1_000;

export class Feed {
  private readonly history: History;
  private readonly control: ControlBlock;
  private readonly onError: (error: Error) => void;
  private readonly live = new Set<Follower>();
  private routes = new Map<string, Follower[]>();
  private rest: Follower[] = [];
  private reader: PageReader | undefined;
  private readonly runs: Again;
  private isClosed = false;
  /** Everything up to here has been handed out. */
  position: number;

  constructor(history: History, control: ControlBlock, onError: (error: Error) => void) {
    this.history = history;
    this.control = control;
    this.onError = onError;
    this.position = control.position('synced');
    this.runs = new Again(
      () => this.run(),
      (error) => this.failed(error as Error),
    );
  }

  get synced(): number {
    return this.control.position('synced');
  }

  /** How far a subscription has to come by itself before it joins. */
  frontier(): number {
    if (this.live.size === 0) this.position = Math.max(this.position, this.synced);
    return this.position;
  }

  join(follower: Follower): void {
    this.live.add(follower);
    this.reroute();
    this.turn();
  }

  leave(follower: Follower): void {
    if (this.live.delete(follower)) this.reroute();
  }

  /** More may be synced. */
  turn(): void {
    if (!this.isClosed) this.runs.ask();
  }

  private failed(error: Error): void {
    setTimeout(
      guarded(() => this.turn()),
      retryMs,
    ).unref();
    this.onError(error);
  }

  close(): void {
    this.isClosed = true;
    this.live.clear();
    this.reroute();
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      const { synced } = this;
      if (this.frontier() >= synced) return;
      this.reader ??= this.history.reader({ types: this.types() });
      const { reader } = this;
      const found = reader.page(this.position + 1, synced, pageSize);
      const page = isThenable(found) ? await found : found;
      if (page === undefined) return;
      if (reader !== this.reader) continue; // a follower has joined that may want more of it
      await this.hand(page.events, page.next - 1, reader);
      if (this.position < synced) await yieldToLoop();
    }
  }

  private async hand(events: readonly StoredEvent[], last: number, reader: PageReader): Promise<void> {
    let started = performance.now();
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!;
      for (const follower of this.routeOf(event)) follower.offer(event);
      if (i % eventsPerLook !== eventsPerLook - 1 || performance.now() - started < sliceMs) continue;
      this.moveTo(event.position);
      await yieldToLoop();
      if (reader !== this.reader) return;
      started = performance.now();
    }
    this.moveTo(last);
  }

  /** One that has been split may be of interest to any: what it is today, each follower looks at itself. */
  private routeOf(event: StoredEvent): Iterable<Follower> {
    return isSplit(event) ? this.live : (this.routes.get(event.type) ?? this.rest);
  }

  private moveTo(position: number): void {
    this.position = Math.max(this.position, position);
    for (const follower of this.live) follower.passed(position);
  }

  /** What the followers want; undefined: all. */
  private types(): string[] | undefined {
    const all = [...this.live].map(({ types }) => types);
    return all.includes(undefined) ? undefined : [...new Set(all.flatMap((types) => [...types!]))];
  }

  private reroute(): void {
    const before = this.reader === undefined ? '' : this.wanted;
    const routes = new Map<string, Follower[]>();
    this.rest = [...this.live].filter(({ types }) => types === undefined);
    for (const follower of this.live) {
      for (const type of follower.types ?? []) {
        const route = routes.get(type);
        if (route) route.push(follower);
        else routes.set(type, [...this.rest, follower]);
      }
    }
    this.routes = routes;
    this.wanted = JSON.stringify(this.types() ?? '*');
    if (this.wanted !== before) this.reader = undefined;
  }

  private wanted = '';
}
