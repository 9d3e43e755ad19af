// The committed records of a partition, told from its markers. @platformatic/kafka reads all of it for us, committed or not:
// asked for what is committed only, it takes the last abort of a producer for the end of its last aborted transaction, and
// leaves out what was committed in between (2.12.1: an abort may follow that had no record here).
import type { RecordsBatch } from '@platformatic/kafka';
import type { InRecord } from '../stream.ts';

const transactionalFlag = 0x10;
const controlFlag = 0x20;
const abortMarker = 0;

/** Takes batches in their order; each record comes out when its transaction is committed, or at once if it has none. */
export class Decisions {
  private readonly undecided = new Map<bigint, InRecord[]>();

  /** Leaves out what lies before an offset: a fetch begins with a whole batch. */
  *committed(batches: readonly RecordsBatch[], from: bigint): Iterable<InRecord> {
    for (const batch of batches) {
      const { attributes, producerId, records } = batch;
      if (attributes & controlFlag) {
        const isAborted = records[0]?.key?.readInt16BE(2) === abortMarker;
        if (!isAborted) yield* this.undecided.get(producerId) ?? [];
        this.undecided.delete(producerId);
      } else if (attributes & transactionalFlag) {
        this.undecided.set(producerId, [...(this.undecided.get(producerId) ?? []), ...recordsOf(batch, from)]);
      } else yield* recordsOf(batch, from);
    }
  }
}

/** All of them, whatever has become of their transactions. */
export function* everyRecord(batches: readonly RecordsBatch[], from: bigint): Iterable<InRecord> {
  for (const batch of batches) if (!(batch.attributes & controlFlag)) yield* recordsOf(batch, from);
}

function recordsOf({ firstOffset, records }: RecordsBatch, from: bigint): InRecord[] {
  return records
    .map(({ key, value, offsetDelta }) => {
      const offset = firstOffset + BigInt(offsetDelta);
      return { key: String(key), value: String(value ?? ''), offset };
    })
    .filter(({ offset }) => offset >= from);
}
