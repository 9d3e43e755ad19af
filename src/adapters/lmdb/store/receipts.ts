// Outcomes of commands with an idempotency key, each until it expires; those of messages between aggregates, each until no
// start can deliver its message again. A second table, ordered by expiry (messages: by position, behind all others), says
// what may go; every batch takes more from its front than it has added, so that neither table grows and
// nothing scans.

import { isMessageKey, outcomeIn, outcomeOrFault } from '../../../model/receipt.ts';
import type { StoredReceipt } from '../../../store/store.ts';
import type { FrameReader } from '../../../wire/frame.ts';
import type { Environment } from './environment.ts';
import { KeyWriter, RECEIPT_HEADER_BYTES } from './layout.ts';

const packBytes = 1600; // within LMDB's inline limit
/** A batch takes away so many packs at least; else twice as many as it has put, so that a backlog shrinks, too. */
const packsPerSweep = 8;
/** Where the expiry of a message's outcome would stand: later than any time. */
const messageExpiry = Number.MAX_SAFE_INTEGER;

/** The keys of receipts that go together, gathered until they fill an entry. */
class Pack {
  readonly bytes: Buffer = Buffer.alloc(packBytes + 1024);
  end = 0;
  latest = 0;
  position = 0;

  add(key: Buffer, expiresAt: number, position: number): void {
    this.bytes.writeUInt16LE(key.length, this.end);
    this.end += 2 + key.copy(this.bytes, this.end + 2);
    this.latest = Math.max(this.latest, expiresAt);
    this.position = Math.max(this.position, position);
  }

  clear(): void {
    this.end = 0;
    this.latest = 0;
    this.position = 0;
  }
}

/** The writer's side. */
export class ReceiptWriter {
  private readonly environment: Environment;
  private readonly keys = new KeyWriter();
  private readonly users = new Pack();
  private readonly messages = new Pack();
  /** By this batch. */
  private packsPut = 0;

  constructor(environment: Environment) {
    this.environment = environment;
  }

  add(frame: FrameReader, position: number): void {
    const json = frame.dataJson;
    const isMessage = isMessageKey(frame.name);
    const expiresAt = isMessage ? messageExpiry : outcomeOrFault(json).expiresAt;
    const value = Buffer.allocUnsafe(RECEIPT_HEADER_BYTES + Buffer.byteLength(json));
    value.writeDoubleLE(expiresAt, 0);
    value.writeDoubleLE(position, 8);
    value.writeUInt32LE(frame.version, 16);
    value.write(json, RECEIPT_HEADER_BYTES);
    const key = this.keys.receipt(frame.aggregateType, frame.aggregateId, frame.name);
    this.environment.receipts.putSync(key, value);
    // Of one that cannot be understood nothing says when it may go.
    if (Number.isFinite(expiresAt)) this.expect(isMessage ? this.messages : this.users, key, expiresAt, position);
  }

  /**
   * Within the transaction: write what was collected, and take away what is needed no more. `now`: by the clock
   * of keys; `settled`: a message whose outcome lies there or before is not delivered again, so that outcome goes.
   */
  write(now: number, settled: number): void {
    for (const pack of [this.users, this.messages]) this.put(pack);
    const { keys } = this;
    const most = Math.max(packsPerSweep, 2 * this.packsPut);
    this.sweep({ end: Buffer.from(keys.expiry(now, 0)) }, most, now, settled);
    const start = Buffer.from(keys.expiry(messageExpiry, 0));
    this.sweep({ start, end: Buffer.from(keys.expiry(messageExpiry, settled + 1)) }, most, now, settled);
    this.packsPut = 0;
  }

  /** The transaction has failed. */
  forget(): void {
    for (const pack of [this.users, this.messages]) pack.clear();
    this.packsPut = 0;
  }

  private expect(pack: Pack, key: Buffer, expiresAt: number, position: number): void {
    pack.add(key, expiresAt, position);
    if (pack.end >= packBytes) this.put(pack);
  }

  private put(pack: Pack): void {
    if (pack.end === 0) return;
    const key = this.keys.expiry(pack.latest, pack.position);
    this.environment.expiries.putSync(key, pack.bytes.subarray(0, pack.end));
    pack.clear();
    this.packsPut++;
  }

  private sweep(range: { start?: Buffer; end: Buffer }, most: number, now: number, settled: number): void {
    const { expiries, receipts } = this.environment;
    for (const { key, value } of [...expiries.getRange({ ...range, limit: most })]) {
      for (let at = 0; at < value.length; ) {
        const length = value.readUInt16LE(at);
        const receipt = Buffer.from(value.subarray(at + 2, at + 2 + length));
        at += 2 + length;
        const kept = receipts.getBinaryFast(receipt);
        if (kept === undefined) continue;
        const position = kept.readDoubleLE(8);
        // The key may have been used again since, and live on.
        if (isMessageKey(keyIn(receipt))) {
          if (position <= settled) receipts.removeSync(receipt);
          // An older release has given it a time to live.
          else if (range.start === undefined) this.expect(this.messages, receipt, messageExpiry, position);
        } else if (kept.readDoubleLE(0) <= now) receipts.removeSync(receipt);
      }
      expiries.removeSync(key);
    }
    this.put(this.messages);
  }
}

/** The idempotency key at the end of a receipt's. */
const keyIn = (receipt: Buffer): string => receipt.toString('utf8', 2 + receipt[0]! + receipt[1]!);

/** Decode a receipt, expired or not: the shard that asks has the clock. @throws RecordInvalid */
export function decodeReceipt(bytes: Buffer): StoredReceipt {
  return {
    position: bytes.readDoubleLE(8),
    version: bytes.readUInt32LE(16),
    // Not toString(): the library's buffer is longer than what it holds.
    outcome: outcomeIn(bytes.toString('utf8', RECEIPT_HEADER_BYTES, bytes.length)),
  };
}
