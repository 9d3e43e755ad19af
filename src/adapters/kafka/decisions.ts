// The committed records of a partition, told from its markers, whatever client library fetched them. Both are asked for all
// of it, since neither tells the committed ones in every case:
//
// - @platformatic/kafka 2.12.1 takes the last abort of a producer for the end of its last aborted transaction, and leaves
//   out what was committed in between (an abort may follow that had no record here).
// - kafkajs 2.2.4 goes through the broker's list of aborted transactions as if it were in the order in which they began. It
//   is in the order in which they ended; where two producers' transactions overlap, it shows an aborted record as committed.
//
// A read of all of it also waits for no other producer's transaction: one that stands open holds back, for as long as
// its owner lets it, whatever a broker shows as committed.
import type { InRecord } from './stream.ts';

/** Records that a producer wrote at once, as a broker keeps them; or a marker, the end of one of its transactions. */
export interface Written {
  producerId: string;
  isTransactional: boolean;
  /** Of a marker alone. */
  marker: 'commit' | 'abort' | undefined;
  records: readonly InRecord[];
}

const markerKeyBytes = 4; // version, kind: 16 bits each
const abortKind = 0;
const commitKind = 1;

/** What a control record's key says; of kinds that are no transaction's end, undefined. */
export function markerOf(key: Buffer | null | undefined): Written['marker'] {
  if (!key || key.length < markerKeyBytes) return undefined;
  const kind = key.readInt16BE(2);
  return kind === abortKind ? 'abort' : kind === commitKind ? 'commit' : undefined;
}

/** Takes what was written in its order; each record comes out when its transaction is committed, or at once if it has none. */
export class Decisions {
  private readonly undecided = new Map<string, InRecord[]>();

  *committed(written: Iterable<Written>): Iterable<InRecord> {
    for (const { producerId, isTransactional, marker, records } of written) {
      if (marker !== undefined) {
        if (marker === 'commit') yield* this.undecided.get(producerId) ?? [];
        this.undecided.delete(producerId);
      } else if (isTransactional) {
        const before = this.undecided.get(producerId);
        if (before) before.push(...records);
        else this.undecided.set(producerId, [...records]);
      } else yield* records;
    }
  }
}
