// The checkpoint: how far a log is published, as a record in a compacted topic of ours, written in the transaction that
// publishes. (The offsets of a consumer group would be the obvious place, but they expire after seven idle days, and
// then everything would be published once more.)
//
//   key `{logId}`         value { position, signature }         the checkpoint
//   key `{logId}/owner`   value { instance, turn, signature }   who has the log: each producer says so first of all
//   key `{logId}/mark`    value { mark, signature }             the end of a look at the owner, outside of any transaction
//
// A reader reads up to a record that it has just written: what it does not find before it is not there. Others may be
// able to write to the topic, so each value is signed by the log's own secret, together with its topic and key. An owner
// record that is not signed is none; a checkpoint that is not, or that goes back, is an error and never passed over,
// since compaction leaves nothing else.

import { basename, dirname, join } from 'node:path';
import { writeFileDurably } from '../../base/durable-file.ts';
import { TrunklineError } from '../../base/errors.ts';
import { parseFields, readText } from '../../base/foreign-file.ts';
import { nameInFile } from '../../base/private-file.ts';
import { randomUUID } from '../../base/random.ts';
import { tame } from '../../base/tame.ts';
import { Signer } from '../../log/secret.ts';
import { partitionOf } from './partition.ts';
import type { InRecord, OutRecord, StreamClient } from './stream.ts';

/** A look back so far finds the checkpoint of a log that has published lately; else the whole partition is read. */
const lookBack = 2000n;

export interface Found {
  /** undefined: there is none, or what stands last is not to be believed */
  position: number | undefined;
  /** Why what stands last is not to be believed. */
  invalid: string | undefined;
  owner: string | undefined;
}

/** What {@link Checkpoint} needs to know. */
export interface CheckpointParts {
  client: StreamClient;
  topic: string;
  partitions: number;
  logId: string;
  dataDir: string;
}

export class Checkpoint {
  readonly instance: string = randomUUID();
  readonly topic: string;
  private readonly partition: number;
  private readonly logId: string;
  private readonly client: StreamClient;
  private readonly signer: Signer;

  /** @throws DataDirUnreadable */
  constructor({ client, topic, partitions, logId, dataDir }: CheckpointParts) {
    this.client = client;
    this.topic = topic;
    this.logId = logId;
    this.partition = partitionOf(logId, partitions);
    this.signer = Signer.open(dataDir, logId);
  }

  /** To be part of the transaction that publishes everything up to `position`. */
  record(position: number): OutRecord {
    return this.make(this.logId, { position });
  }

  /** To be committed first of all by a new producer. */
  ownerRecord(turn: string): OutRecord {
    return this.make(`${this.logId}/owner`, { instance: this.instance, turn });
  }

  private make(key: string, fields: Fields): OutRecord {
    const signature = this.signer.sign(this.words(key, fields));
    const value = Buffer.from(JSON.stringify({ ...fields, signature }));
    return { topic: this.topic, partition: this.partition, key, value, headers: {} };
  }

  private words(key: string, fields: Fields): (string | number)[] {
    return [this.topic, key, ...Object.entries(fields).flat()];
  }

  /** What a record says that this log has signed; undefined if it has not. */
  private signedFields({ key, value }: InRecord): Fields | undefined {
    const { signature, ...fields } = parseFields(value);
    const isPlain = Object.values(fields).every((one) => typeof one === 'string' || typeof one === 'number');
    if (!isPlain || !this.signer.hasSigned(this.words(key, fields as Fields), signature)) return undefined;
    return fields as Fields;
  }

  /** What stands before our own record of this turn, which has been committed. */
  async read(turn: string): Promise<Found> {
    const isEnd = ({ key, value }: InRecord): boolean =>
      key === `${this.logId}/owner` && parseFields(value).turn === turn;
    const { first, next } = await this.client.offsets(this.topic, this.partition);
    const near = next - lookBack > first ? next - lookBack : first;
    const found = await this.scan(near, true, isEnd);
    const isFound = found.position !== undefined || found.invalid !== undefined;
    return isFound || near === first ? found : this.scan(first, true, isEnd);
  }

  /**
   * Who has the log now. Writes no more than a mark: no producer is fenced. Looks at what is not committed, too: a
   * transaction of our own that still stands open must not hold up the look, and a machine that has begun to take the
   * log has fenced us already.
   */
  async owner(): Promise<string | undefined> {
    const mark = randomUUID();
    await this.client.send(this.make(`${this.logId}/mark`, { mark }));
    const { first, next } = await this.client.offsets(this.topic, this.partition);
    const isEnd = ({ key, value }: InRecord): boolean => key === `${this.logId}/mark` && value.includes(mark);
    const near = next - lookBack > first ? next - lookBack : first;
    const found = await this.scan(near, false, isEnd);
    return (found.owner === undefined && near > first ? await this.scan(first, false, isEnd) : found).owner;
  }

  private async scan(from: bigint, committedOnly: boolean, isEnd: (record: InRecord) => boolean): Promise<Found> {
    const found: Found = { position: undefined, invalid: undefined, owner: undefined };
    const visit = (record: InRecord): boolean => {
      if (isEnd(record)) return true;
      if (record.key === this.logId) this.take(record, found);
      if (record.key === `${this.logId}/owner`) {
        const instance = this.signedFields(record)?.instance;
        if (instance !== undefined) found.owner = String(instance);
      }
      return false;
    };
    await this.client.read({ topic: this.topic, partition: this.partition, from, committedOnly, visit });
    return found;
  }

  private take(record: InRecord, found: Found): void {
    const fields = this.signedFields(record);
    const position = fields && positionIn(record.value);
    if (position === undefined) {
      const text = JSON.stringify(tame(record.value, 80));
      found.invalid = `it holds ${text}, which this log has not signed (see log-secret.json in its data directory)`;
    } else if (found.position !== undefined && position < found.position) {
      found.invalid = `it says ${position} after it had said ${found.position}: an old record was written again`;
    } else {
      found.position = position;
      found.invalid = undefined;
      return;
    }
    found.position = undefined;
  }
}

/** Of a record of ours: plain values by name. */
type Fields = Readonly<Record<string, string | number>>;

/** A position as a record or a note says it; undefined if it says none. */
export function positionIn(text: string): number | undefined {
  const { position } = parseFields(text);
  return Number.isSafeInteger(position) && (position as number) >= 0 ? (position as number) : undefined;
}

/**
 * The note in the data directory that this log is being published, made before its first event is: without it a checkpoint
 * that is missing looks like one that has never been.
 */
export const noteFile = (dataDir: string, name: string): string => join(dataDir, `published-${nameInFile(name)}.json`);

interface Note {
  logId: string;
  topic: string;
  /** So far it had been published at least. */
  position: number;
}

/**
 * The position that is noted; undefined if there is no note.
 * @throws DataDirUnreadable; LogDamaged if it belongs to another log, or the log ends before it
 */
export function readNote(file: string, logId: string, lastPosition: number): number | undefined {
  const text = readText(file);
  if (text === undefined) return undefined;
  const dataDir = dirname(file);
  const position = positionIn(text);
  if (position === undefined) {
    const reason = `${file} does not say how far the log is published; set the stream's resumeAfter, and remove it`;
    throw new TrunklineError('DataDirUnreadable', { dataDir, reason });
  }
  const { logId: noted } = parseFields(text);
  if (noted !== logId) {
    const reason = `${basename(file)} belongs to log ${tame(noted, 80)}, and this is log ${logId}`;
    throw new TrunklineError('LogDamaged', { dataDir, reason });
  }
  if (position > lastPosition) {
    const reason = `it ends at position ${lastPosition}, and ${basename(file)} says that ${position} was published`;
    throw new TrunklineError('LogDamaged', { dataDir, reason });
  }
  return position;
}

/** Unless it stands there already. */
export function writeNote(file: string, note: Note): void {
  const text = `${JSON.stringify(note)}\n`;
  if (readText(file) !== text) writeFileDurably(file, text);
}
