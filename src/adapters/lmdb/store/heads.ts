// Where every aggregate stands, as the writer sees it: the table of heads behind a cache of those lately touched. An
// aggregate that is busy costs no look-up, and one write a batch however many events it raised.
import type { Environment } from './environment.ts';
import { HEAD_BYTES, KeyWriter } from './layout.ts';

/** Of the last event of an aggregate: its version, position and place. */
export class HeadRecord {
  readonly type: string;
  readonly id: string;
  version = 0;
  snapshotVersion = 0;
  position = 0;
  block = 0;
  index = 0;
  /** In a local cache: another log has written it, so only the store knows its state. */
  isOwnershipLost = false;
  isChanged = false;

  constructor(type: string, id: string) {
    this.type = type;
    this.id = id;
  }

  decode(bytes: Buffer): this {
    this.version = bytes.readUInt32LE(0);
    this.snapshotVersion = bytes.readUInt32LE(4);
    this.position = bytes.readDoubleLE(8);
    this.block = bytes.readDoubleLE(16);
    this.index = bytes.readUInt16LE(24);
    this.isOwnershipLost = bytes[26] === 1;
    return this;
  }

  encode(bytes: Buffer): void {
    bytes.writeUInt32LE(this.version, 0);
    bytes.writeUInt32LE(this.snapshotVersion, 4);
    bytes.writeDoubleLE(this.position, 8);
    bytes.writeDoubleLE(this.block, 16);
    bytes.writeUInt16LE(this.index, 24);
    bytes[26] = this.isOwnershipLost ? 1 : 0;
  }
}

const cacheLimit = 50_000; // records, some 10 MB

export class HeadTable {
  private readonly environment: Environment;
  private readonly keys = new KeyWriter();
  private readonly value: Buffer = Buffer.alloc(HEAD_BYTES);
  private readonly byType = new Map<string, Map<string, HeadRecord>>();
  private changed: HeadRecord[] = [];
  private count = 0;

  constructor(environment: Environment) {
    this.environment = environment;
  }

  /** The aggregate's record; at version 0 if the store does not know it. */
  get(type: string, id: string): HeadRecord {
    let ofType = this.byType.get(type);
    if (ofType === undefined) {
      ofType = new Map();
      this.byType.set(type, ofType);
    }
    let record = ofType.get(id);
    if (record === undefined) {
      record = new HeadRecord(type, id);
      const bytes = this.environment.heads.getBinaryFast(this.keys.head(type, id));
      if (bytes !== undefined) record.decode(bytes);
      ofType.set(id, record);
      this.count++;
    }
    return record;
  }

  /** The record differs from the table's from now on. */
  change(record: HeadRecord): void {
    if (record.isChanged) return;
    record.isChanged = true;
    this.changed.push(record);
  }

  /** Within the transaction: bring the table up to date. */
  write(): void {
    for (const record of this.changed) {
      record.encode(this.value);
      this.environment.heads.putSync(this.keys.head(record.type, record.id), this.value);
      record.isChanged = false;
    }
    this.changed = [];
  }

  /** After the transaction: forget what is too much. */
  trim(): void {
    if (this.count > cacheLimit) this.forget();
  }

  /** The transaction has failed: what is remembered is not true. */
  forget(): void {
    this.byType.clear();
    this.changed = [];
    this.count = 0;
  }
}
