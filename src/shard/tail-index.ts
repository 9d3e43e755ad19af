// What a start (of the runtime, or of a shard that died) finds in the log and not yet in the store: for each aggregate of
// this shard where its events are, and the outcomes of commands with idempotency keys. So an aggregate that is still in
// the log is never loaded stale. Dropped as soon as the store has caught up.

import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { outcomeIn } from '../model/receipt.ts';
import { FrameKind } from '../wire/frame.ts';
import { type CachedOutcome, OutcomeCache } from './outcome-cache.ts';

export class TailIndex {
  /** Last position indexed: once the store has come here, nothing in this index is needed. */
  readonly lastPosition: number;
  private readonly log: LogSource;
  private readonly positions = new Map<string, number[]>();
  /** As JSON: a broken one fails the command that asks for it, and nothing else. */
  private readonly outcomes = new Map<string, { version: number; json: string }>();

  constructor(log: LogSource, from: number, to: number, isMine: (type: string, id: string) => boolean) {
    this.log = log;
    this.lastPosition = to;
    eachFrame(log, from, to, (frame, position) => {
      const { kind } = frame;
      if (kind !== FrameKind.event && kind !== FrameKind.receipt) return;
      const type = frame.aggregateType;
      const id = frame.aggregateId;
      if (!isMine(type, id)) return;
      if (kind === FrameKind.receipt) {
        const { version, dataJson: json } = frame;
        this.outcomes.set(OutcomeCache.key(type, id, frame.name), { version, json });
        return;
      }
      const key = `${type}\0${id}`;
      const known = this.positions.get(key);
      if (known) known.push(position);
      else this.positions.set(key, [position]);
    });
  }

  positionsOf(type: string, id: string): readonly number[] {
    return this.positions.get(`${type}\0${id}`) ?? [];
  }

  /** @throws RecordInvalid */
  outcome(key: string): CachedOutcome | undefined {
    const found = this.outcomes.get(key);
    return found && { version: found.version, outcome: outcomeIn(found.json) };
  }

  /** See `OutcomeCache.keysOf`. */
  *outcomeKeys(type: string, id: string, from: number, below: number): Generator<string> {
    const prefix = OutcomeCache.key(type, id, '');
    for (const [name, { version }] of this.outcomes) {
      if (version >= from && version < below && name.startsWith(prefix)) yield name.slice(prefix.length);
    }
  }

  close(): Promise<void> {
    return this.log.close();
  }
}
