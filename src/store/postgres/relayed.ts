// What a batch says of events that came by the outbox: the store has them, and notes where they stand in the log; their
// rows in the outbox are settled: they go, or, where a stream or sinks have still to pass them, keep the position until the
// relay removes them. In the transaction that moves the checkpoint: so what is claimed and not settled is in the outbox,
// and whatever the outbox still has is to be looked for behind the checkpoint.
import type pg from 'pg';
import type { Batch } from '../../flush/flush.ts';
import { FrameFlag, FrameKind } from '../../frame.ts';
import { type Place, placeName } from '../../outbox/outbox.ts';
import { timeText, withinTimes } from './pages.ts';

/** Events that a batch brings and the store has. */
export interface RelayedEvents {
  readonly ids: string[];
  /** Milliseconds since 1970. */
  readonly times: number[];
  readonly positions: number[];
  /** How far the outbox has come. */
  place: Place | undefined;
}

/** undefined: there is none, as in nearly every batch. */
export function relayedIn(batch: Pick<Batch, 'eachFrame'>): RelayedEvents | undefined {
  let relayed: RelayedEvents | undefined;
  batch.eachFrame((frame, position) => {
    if (frame.kind === FrameKind.place && frame.name === placeName) {
      relayed ??= { ids: [], times: [], positions: [], place: undefined };
      relayed.place = JSON.parse(frame.dataJson) as Place;
    } else if (frame.kind === FrameKind.event && (frame.flags & FrameFlag.alreadyStored) !== 0) {
      relayed ??= { ids: [], times: [], positions: [], place: undefined };
      relayed.ids.push(frame.id);
      relayed.times.push(frame.occurredAt);
      relayed.positions.push(position);
    }
  });
  return relayed;
}

export class RelayedStatements {
  private readonly logId: string;
  private readonly note: string;
  private readonly settled: string;

  /** `schema`: escaped. `isLastReader`: nothing but the store reads the log. */
  constructor(schema: string, logId: string, isLastReader: boolean) {
    this.logId = logId;
    this.note = `update ${schema}.domain_events e set position = r.position, log_id = $4
      from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) as r (id, occurred_at, position)
      where e.id = r.id and e.occurred_at = r.occurred_at`;
    const rows = `log_id = $1 and batch is not null and (batch, sequence) <= ($2::bigint, $3::bigint)
      and position is null and refused is null and $4::bigint > 0`;
    this.settled = isLastReader
      ? `delete from ${schema}.outbox where ${rows}`
      : `update ${schema}.outbox set position = $4 where ${rows}`;
  }

  /** Within the transaction of the batch, which comes to `position`. */
  async settle(
    client: pg.ClientBase,
    { ids, times, positions, place }: RelayedEvents,
    position: number,
  ): Promise<void> {
    if (ids.length > 0) {
      const bounds = withinTimes({ first_at: least(times), last_at: most(times) });
      await client.query(`${this.note}${bounds.replaceAll('occurred_at', 'e.occurred_at')}`, [
        ids,
        times.map(timeText),
        positions,
        this.logId,
      ]);
    }
    if (place) await client.query(this.settled, [this.logId, place.batch, place.sequence, position]);
  }
}

const least = (times: readonly number[]): number => times.reduce((a, b) => Math.min(a, b));
const most = (times: readonly number[]): number => times.reduce((a, b) => Math.max(a, b));
