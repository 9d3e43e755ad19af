// The memory of the store in memory: events by aggregate, in the thread that made the options. Other threads ask over a
// channel, so it outlives the runtimes on it, as a server does. A test can make it fail.
import { BroadcastChannel } from 'node:worker_threads';
import type { QuarantinedEvent, RefusedEvent, RemoteAggregate } from '../../../src/store/store.ts';
import { FrameKind, FrameReader } from '../../../src/wire/frame.ts';

export interface HeldEvent {
  readonly logId: string;
  readonly position: number;
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly frame: Uint8Array;
}

interface HeldHead {
  owner: string;
  readonly events: HeldEvent[];
}

export interface Question {
  readonly asker: string;
  readonly number: number;
  readonly what: keyof Answers;
  readonly of: readonly unknown[];
}

export type Found = { readonly version: number; readonly owner: string; readonly frames: readonly Uint8Array[] };
export type Looked = RemoteAggregate & { readonly isOwn: boolean };

/** What other threads may ask. */
export interface Answers {
  checkpoint(logId: string): number;
  append(logId: string, from: number, to: number, bytes: Uint8Array): { checkpoint: number; refused: RefusedEvent[] };
  owner(type: string, id: string): string | undefined;
  /** The events behind `after`, and whose the aggregate is. */
  look(type: string, id: string, after: number): Found | undefined;
  /** The events behind `after`; the aggregate is this log's from now on. */
  take(logId: string, type: string, id: string, after: number): Found | undefined;
}

export class Holder implements Answers {
  readonly channelName: string = `in-memory-store-${crypto.randomUUID()}`;
  /** In the order in which they were stored. */
  readonly events: HeldEvent[] = [];
  readonly refused: { event: HeldEvent; code: QuarantinedEvent['code']; reason: string }[] = [];
  isAway = false;
  private readonly heads = new Map<string, HeldHead>();
  private readonly checkpoints = new Map<string, number>();
  private readonly channel: BroadcastChannel;

  constructor() {
    this.channel = new BroadcastChannel(this.channelName);
    this.channel.onmessage = (message: unknown) => {
      const { asker, number, what, of } = (message as { data: Question }).data;
      if (asker === undefined) return;
      const answer = this.isAway
        ? { away: true }
        : { value: (this[what] as (...of: readonly unknown[]) => unknown)(...of) };
      this.channel.postMessage({ answerTo: asker, number, ...answer });
    };
    this.channel.unref();
  }

  close(): void {
    this.channel.close();
  }

  head(type: string, id: string): HeldHead | undefined {
    return this.heads.get(JSON.stringify([type, id]));
  }

  idsOf(type: string): string[] {
    return [...this.heads.keys()].map((key) => JSON.parse(key)).flatMap(([of, id]) => (of === type ? [id] : []));
  }

  checkpoint(logId: string): number {
    return this.checkpoints.get(logId) ?? 0;
  }

  append(logId: string, from: number, to: number, bytes: Uint8Array): { checkpoint: number; refused: RefusedEvent[] } {
    const known = this.checkpoint(logId);
    const refused: RefusedEvent[] = [];
    const reader = new FrameReader(Buffer.from(bytes)).at(0);
    for (let position = from; position <= to; position++, reader.at(reader.next)) {
      if (position <= known || reader.kind !== FrameKind.event) continue;
      const { aggregateType: type, aggregateId: id, version } = reader;
      const frame = Uint8Array.prototype.slice.call(bytes, reader.offset, reader.next);
      const event = { logId, position, type, id, version, frame };
      const fault = this.add(event);
      if (fault === undefined) continue;
      this.refused.push({ event, ...fault });
      refused.push({ aggregateType: type, aggregateId: id, version, position, ...fault });
    }
    this.checkpoints.set(logId, Math.max(known, to));
    return { checkpoint: Math.max(known, to), refused };
  }

  private add(event: HeldEvent): { code: QuarantinedEvent['code']; reason: string } | undefined {
    const { type, id, logId, version } = event;
    const head = this.head(type, id) ?? { owner: logId, events: [] };
    if (head.owner !== logId) return { code: 'Fenced', reason: `log ${head.owner} has taken the aggregate over` };
    const expected = head.events.length + 1;
    if (version !== expected) return { code: 'VersionGap', reason: `version ${expected} comes next` };
    head.events.push(event);
    this.events.push(event);
    this.heads.set(JSON.stringify([type, id]), head);
    return undefined;
  }

  owner(type: string, id: string): string | undefined {
    return this.head(type, id)?.owner;
  }

  look(type: string, id: string, after: number): Found | undefined {
    const head = this.head(type, id);
    if (head === undefined) return undefined;
    return { version: head.events.length, owner: head.owner, frames: head.events.slice(after).map((one) => one.frame) };
  }

  take(logId: string, type: string, id: string, after: number): Found | undefined {
    const head = this.head(type, id);
    if (head !== undefined) head.owner = logId;
    return this.look(type, id, after);
  }
}
