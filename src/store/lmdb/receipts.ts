// Outcomes of commands with an idempotency key, each until it expires. A second table, ordered by expiry, says what may
// go; every batch takes a little from its front, so that the work is bounded and nothing scans.
import type { FrameReader } from '../../frame.ts';
import type { Outcome } from '../../receipt.ts';
import type { StoredReceipt } from '../store.ts';
import type { Environment } from './environment.ts';
import { KeyWriter, RECEIPT_HEADER_BYTES } from './layout.ts';

const packBytes = 1600; // within LMDB's inline limit
const packsPerSweep = 8;

/** The writer's side. */
export class ReceiptWriter {
  private readonly environment: Environment;
  private readonly keys = new KeyWriter();
  private pack: Buffer = Buffer.alloc(packBytes + 1024);
  private packEnd = 0;
  private latest = 0;
  private position = 0;

  constructor(environment: Environment) {
    this.environment = environment;
  }

  add(frame: FrameReader, position: number): void {
    const json = frame.dataJson;
    const { expiresAt } = JSON.parse(json) as Outcome;
    const value = Buffer.allocUnsafe(RECEIPT_HEADER_BYTES + Buffer.byteLength(json));
    value.writeDoubleLE(expiresAt, 0);
    value.writeDoubleLE(position, 8);
    value.writeUInt32LE(frame.version, 16);
    value.write(json, RECEIPT_HEADER_BYTES);
    const key = this.keys.receipt(frame.aggregateType, frame.aggregateId, frame.name);
    this.environment.receipts.putSync(key, value);
    this.pack.writeUInt16LE(key.length, this.packEnd);
    this.packEnd += 2 + key.copy(this.pack, this.packEnd + 2);
    this.latest = Math.max(this.latest, expiresAt);
    this.position = position;
    if (this.packEnd >= packBytes) this.putPack();
  }

  /** Within the transaction: write what was collected, and take away a little of what has expired. */
  write(now: number): void {
    if (this.packEnd > 0) this.putPack();
    this.sweep(now);
  }

  /** The transaction has failed. */
  forget(): void {
    this.packEnd = 0;
    this.latest = 0;
  }

  private putPack(): void {
    const key = this.keys.expiry(this.latest, this.position);
    this.environment.expiries.putSync(key, this.pack.subarray(0, this.packEnd));
    this.forget();
  }

  private sweep(now: number): void {
    const { expiries, receipts } = this.environment;
    const end = this.keys.expiry(now, 0);
    const packs = [...expiries.getRange({ end, limit: packsPerSweep })];
    for (const { key, value } of packs) {
      for (let at = 0; at < value.length; ) {
        const length = value.readUInt16LE(at);
        const receipt = value.subarray(at + 2, at + 2 + length);
        // The key may have been used again since, and live on.
        const kept = receipts.getBinaryFast(receipt);
        if (kept !== undefined && kept.readDoubleLE(0) <= now) receipts.removeSync(receipt);
        at += 2 + length;
      }
      expiries.removeSync(key);
    }
  }
}

/** Decode a receipt; undefined if it has expired. */
export function decodeReceipt(bytes: Buffer, now: number): StoredReceipt | undefined {
  if (bytes.readDoubleLE(0) <= now) return undefined;
  return {
    position: bytes.readDoubleLE(8),
    version: bytes.readUInt32LE(16),
    // Not toString(): the library's buffer is longer than what it holds.
    outcome: JSON.parse(bytes.toString('utf8', RECEIPT_HEADER_BYTES, bytes.length)) as Outcome,
  };
}
