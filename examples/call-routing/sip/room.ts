// Whether there is room for one more transaction: in all and in the share of its source, by number and by bytes. A share of n
// transactions is n times `bytesPerTransaction` as well: who sends large messages may send fewer of them. Of the room for all, a
// reserve is for requests inside dialogs; each source may use half of it beside its share.
import type { EndpointOptions, Verdict } from './endpoint-user.ts';
import { bytesWanted } from './kept.ts';
import type { ReceivedRequest } from './message.ts';
import type { Charge } from './quota.ts';
import { Quota } from './quota.ts';

const defaultBytesPerTransaction = 8_192;

export class Room {
  readonly #quota = new Quota();
  readonly #all: number;
  readonly #perSource: number;
  readonly #reserve: number;
  readonly #bytesEach: number;

  constructor({ transactionsLimit, transactionsPerSource, inDialogReserve, bytesPerTransaction }: EndpointOptions) {
    this.#all = transactionsLimit;
    this.#perSource = transactionsPerSource ?? transactionsLimit;
    this.#reserve = inDialogReserve ?? 0;
    this.#bytesEach = bytesPerTransaction ?? defaultBytesPerTransaction;
  }

  /** Held by all transactions, of both kinds. */
  get bytes(): number {
    return this.#quota.bytes;
  }

  /** How many places a table must have left for it. */
  placesFor({ isInDialog }: Extract<Verdict, { kind: 'take' }>): number {
    return 1 + (isInDialog ? 0 : this.#reserve);
  }

  isLeftFor(request: ReceivedRequest, verdict: Extract<Verdict, { kind: 'take' }>): boolean {
    const { source, isInDialog, transactionsLimit } = verdict;
    const share = (transactionsLimit ?? this.#perSource) + (isInDialog ? Math.ceil(this.#reserve / 2) : 0);
    if (this.#quota.entriesOf(source) >= share) return false;
    const wanted = bytesWanted(request);
    const usable = this.#all - (isInDialog ? 0 : this.#reserve);
    return (
      this.#quota.bytesOf(source) + wanted <= share * this.#bytesEach &&
      this.#quota.bytes + wanted <= usable * this.#bytesEach
    );
  }

  /** A received request is an entry of its source's share; one that is sent is its consequence, and counts by its bytes. */
  charge(source: string, kind: 'received' | 'sent', bytes: number): Charge {
    return this.#quota.charge(source, kind === 'received' ? 1 : 0, bytes);
  }
}
