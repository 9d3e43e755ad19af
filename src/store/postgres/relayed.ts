// What a batch says of events that came by the outbox: the store has them, and notes where they stand in the log; their
// rows in the outbox go. In the transaction that moves the checkpoint: so what is claimed and not flushed is in the outbox,
// and whatever the outbox still has is to be looked for behind the checkpoint.
import type pg from 'pg';
import type { Batch } from '../../flush/flush.ts';
import { FrameFlag, FrameKind } from '../../frame.ts';
import { type Place, placeName } from '../../outbox/outbox.ts';

/** Events that a batch brings and the store has. */
export interface RelayedEvents {
  readonly ids: string[];
  readonly times: Date[];
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
      relayed.times.push(new Date(frame.occurredAt));
      relayed.positions.push(position);
    }
  });
  return relayed;
}

export class RelayedStatements {
  private readonly logId: string;
  private readonly note: string;
  private readonly remove: string;

  /** `schema`: escaped. */
  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.note = `update ${schema}.domain_events e set position = r.position, log_id = $4
      from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) as r (id, occurred_at, position)
      where e.id = r.id and e.occurred_at = r.occurred_at`;
    this.remove = `delete from ${schema}.outbox
      where log_id = $1 and batch is not null and (batch, sequence) <= ($2::bigint, $3::bigint)`;
  }

  /** Within the transaction of the batch. */
  async settle(client: pg.ClientBase, { ids, times, positions, place }: RelayedEvents): Promise<void> {
    if (ids.length > 0) await client.query(this.note, [ids, times, positions, this.logId]);
    if (place) await client.query(this.remove, [this.logId, place.batch, place.sequence]);
  }
}
