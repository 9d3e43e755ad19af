// Requests of a transaction, filled so that no partition gets more at once than its topic takes.
import type { Formatted } from './format.ts';
import { partitionOf } from './partition.ts';
import type { OutRecord, TopicState } from './stream.ts';
import type { Topics } from './topics.ts';

/** A record that has no partition yet. */
interface Unplaced {
  topic: string;
  key: string;
  formatted: Formatted;
}

/** More than Kafka's record and batch headers take, per record and per batch. */
const recordOverheadBytes = 48;
const headerOverheadBytes = 8;
const batchOverheadBytes = 128;
const requestBytesLimit = 16 << 20;
const requestRecords = 1000;
const defaultMessageBytes = 1_000_000;

export class Packer {
  /** Those that are done. */
  private full: OutRecord[][] = [];
  private current: OutRecord[] = [];
  private readonly topics: Topics;
  private readonly places = new Map<string, TopicPlaces>();
  private requestBytes = 0;

  constructor(topics: Topics) {
    this.topics = topics;
  }

  /** Undefined, or why the topic would not take it. */
  add({ topic, key, formatted: { value, headers } }: Unplaced): string | undefined {
    let places = this.places.get(topic);
    if (!places) this.places.set(topic, (places = new TopicPlaces(this.topics.get(topic)!)));
    let bytes = recordOverheadBytes + 3 * key.length + value.length;
    for (const name in headers) bytes += headerOverheadBytes + name.length + 3 * headers[name]!.length;
    if (bytes > places.limit) return `${value.length} bytes are more than topic ${topic} takes (max.message.bytes)`;
    const partition = places.partitionOf(key);
    const isFull = this.current.length >= requestRecords || this.requestBytes + bytes > requestBytesLimit;
    if (isFull || places.bytes[partition]! + bytes > places.limit) this.next();
    places.bytes[partition]! += bytes;
    this.requestBytes += bytes;
    this.current.push({ topic, partition, key, value, headers });
    return undefined;
  }

  /** Requests that are full; none of them is taken twice. */
  takeFull(): OutRecord[][] {
    const { full } = this;
    this.full = [];
    return full;
  }

  /** The last request, with this record behind what it has. */
  end(record: OutRecord): OutRecord[] {
    this.current.push(record);
    return this.current;
  }

  private next(): void {
    this.full.push(this.current);
    this.current = [];
    this.requestBytes = 0;
    for (const { bytes } of this.places.values()) bytes.fill(0);
  }
}

/** One topic, as one batch fills it. */
class TopicPlaces {
  /** Most bytes that a partition takes at once. */
  readonly limit: number;
  /** Bytes of the current request, by partition. */
  readonly bytes: Float64Array;
  private readonly byKey = new Map<string, number>();

  constructor({ partitions, config }: TopicState) {
    this.limit = Number(config.get('max.message.bytes') ?? defaultMessageBytes) - batchOverheadBytes;
    this.bytes = new Float64Array(partitions);
  }

  partitionOf(key: string): number {
    let partition = this.byKey.get(key);
    if (partition === undefined) this.byKey.set(key, (partition = partitionOf(key, this.bytes.length)));
    return partition;
  }
}
