// What a batch says of events that came by the outbox: the store has them, and notes where they stand in the log; their
// rows in the outbox are settled: they go, or, where a stream or sinks have still to pass them, keep the position until the
// relay removes them. In the transaction that moves the checkpoint: so what is claimed and not settled is in the outbox,
// and whatever the outbox still has is to be looked for behind the checkpoint.
import type pg from 'pg';
import type { Batch } from '../../../log/sink.ts';
import { type Place, placeIn, placeName } from '../../../outbox/outbox.ts';
import { FrameFlag, FrameKind, type FrameReader } from '../../../wire/frame.ts';
import { timeText } from '../session/time-text.ts';
import type { Refusal } from './heads.ts';
import type { Entry } from './plan.ts';
import { noteStatement, settleStatement } from './relayed-sql.ts';

/** Events that a batch brings and the store has. */
export interface RelayedEvents {
  readonly ids: string[];
  /** Milliseconds since 1970. */
  readonly times: number[];
  readonly positions: number[];
  /** Where each frame is, and of which aggregate. */
  readonly entries: Entry[];
  /** How far the outbox has come. */
  place: Place | undefined;
}

/** undefined: there is none, as in nearly every batch. */
export function relayedIn(batch: Pick<Batch, 'eachFrame'>): RelayedEvents | undefined {
  let relayed: RelayedEvents | undefined;
  batch.eachFrame((frame, position) => {
    if (frame.kind === FrameKind.place && frame.name === placeName) {
      relayed ??= none();
      relayed.place = placeIn(frame.dataJson);
    } else if (frame.kind === FrameKind.event && (frame.flags & FrameFlag.alreadyStored) !== 0) {
      relayed ??= none();
      relayed.ids.push(frame.id);
      relayed.times.push(frame.occurredAt);
      relayed.positions.push(position);
      relayed.entries.push(entryOf(frame, position));
    }
  });
  return relayed;
}

export class RelayedStatements {
  private readonly logId: string;
  private readonly schema: string;
  private readonly settled: ReturnType<typeof settleStatement>;

  /** `schema`: escaped. `isLastReader`: nothing but the store reads the log. */
  constructor(schema: string, logId: string, isLastReader: boolean) {
    this.logId = logId;
    this.schema = schema;
    this.settled = settleStatement(schema, isLastReader);
  }

  /**
   * Within the transaction of the batch, which comes to `position`. What it does not find has gone with a transaction that
   * the database has lost: it came back from an earlier state. Returned as refused, so that it is kept, and named.
   */
  async settle(
    client: pg.ClientBase,
    { ids, times, positions, entries, place }: RelayedEvents,
    position: number,
  ): Promise<Refusal[]> {
    const { logId } = this;
    let lost: Refusal[] = [];
    if (ids.length > 0) {
      const statement = noteStatement(this.schema, least(times), most(times));
      const rows = await statement.run(client, {
        ...{ ids, times: times.map(timeText), positions, logId },
        aggregateTypes: entries.map(({ run }) => run.type),
        aggregateIds: entries.map(({ run }) => run.id),
        versions: entries.map(({ version }) => version),
      });
      if (rows.length < ids.length) {
        const found = new Set(rows.map((row) => row.position));
        lost = entries
          .filter((_, i) => !found.has(positions[i]!))
          .map((entry) => ({ entry, code: 'LostByStore', reason }));
      }
    }
    if (place) await this.settled.count(client, { logId, ...place, position });
    return lost;
  }
}

const reason =
  'the transaction that saved it is not in the database any more, which has come back from an earlier state; the log has relayed it';
const none = (): RelayedEvents => ({ ids: [], times: [], positions: [], entries: [], place: undefined });

function entryOf(frame: FrameReader, position: number): Entry {
  const { aggregateType: type, aggregateId: id, version, occurredAt: at, offset } = frame;
  const run = {
    type,
    id,
    first: version,
    last: version,
    isWhole: true,
    lastPosition: position,
    firstAt: at,
    lastAt: at,
  };
  return { offset, position, version, run: { ...run, snapshot: -1 } };
}

const least = (times: readonly number[]): number => times.reduce((a, b) => Math.min(a, b));
const most = (times: readonly number[]): number => times.reduce((a, b) => Math.max(a, b));
