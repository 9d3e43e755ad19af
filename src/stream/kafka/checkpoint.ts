// The checkpoint: how far a log is published, as a record in a compacted topic of ours, written in the transaction that
// publishes. (The offsets of a consumer group would be the obvious place, but they expire after seven idle days, and
// then everything would be published once more.)
//
//   key `{logId}`         value { position }      the checkpoint
//   key `{logId}/owner`   value { instance }      who has the log: each producer says so first of all
//   key `{logId}/mark`    value { mark }          the end of a look at the owner, outside of any transaction
//
// Whoever reads, reads up to a record that it has just written: what it does not find before it is not there.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeFileDurably } from '../../durable-file.ts';
import { TrunklineError } from '../../errors.ts';
import type { InRecord, OutRecord, StreamClient } from '../stream.ts';
import { partitionOf } from './partition.ts';

/** A look back so far finds the checkpoint of whoever has published lately; else the whole partition is read. */
const lookBack = 2000n;

export interface Found {
  /** undefined: there is none */
  position: number | undefined;
  owner: string | undefined;
}

export class Checkpoint {
  readonly instance: string = randomUUID();
  readonly topic: string;
  private readonly partition: number;
  private readonly stream: string;
  private readonly logId: string;
  private readonly client: StreamClient;

  constructor(client: StreamClient, stream: string, topic: string, partitions: number, logId: string) {
    this.client = client;
    this.stream = stream;
    this.topic = topic;
    this.logId = logId;
    this.partition = partitionOf(logId, partitions);
  }

  /** To be part of the transaction that publishes everything up to `position`. */
  record(position: number): OutRecord {
    return this.make(this.logId, { position });
  }

  /** To be committed first of all by a new producer. */
  ownerRecord(turn: string): OutRecord {
    return this.make(`${this.logId}/owner`, { instance: this.instance, turn });
  }

  private make(key: string, value: object): OutRecord {
    return {
      topic: this.topic,
      partition: this.partition,
      key,
      value: Buffer.from(JSON.stringify(value)),
      headers: {},
    };
  }

  /** What stands before our own record of this turn, which has been committed. */
  async read(turn: string): Promise<Found> {
    const isEnd = ({ key, value }: InRecord): boolean => key === `${this.logId}/owner` && fieldsOf(value).turn === turn;
    const { first, next } = await this.client.offsets(this.topic, this.partition);
    const near = next - lookBack > first ? next - lookBack : first;
    const found = await this.scan(near, true, isEnd);
    return found.position === undefined && near > first ? this.scan(first, true, isEnd) : found;
  }

  /**
   * Who has the log now. Writes no more than a mark: nobody is fenced. Looks at what is not committed, too: a transaction of
   * our own that still stands open must not hold up the look, and whoever has begun to take the log has fenced us already.
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

  private positionOf(text: string): number {
    const position = positionIn(text);
    if (position !== undefined) return position;
    const { stream, logId, topic } = this;
    const reason = `it holds ${JSON.stringify(text.slice(0, 80))}, which is no checkpoint`;
    throw new TrunklineError('CheckpointMissing', { stream, logId, topic, reason });
  }

  private async scan(from: bigint, committedOnly: boolean, isEnd: (record: InRecord) => boolean): Promise<Found> {
    const found: Found = { position: undefined, owner: undefined };
    const visit = (record: InRecord): boolean => {
      const { key, value } = record;
      if (isEnd(record)) return true;
      if (key === this.logId) found.position = this.positionOf(value);
      if (key === `${this.logId}/owner`) found.owner = String(fieldsOf(value).instance);
      return false;
    };
    await this.client.read({ topic: this.topic, partition: this.partition, from, committedOnly, visit });
    return found;
  }
}

/** What a record of ours says; nothing if it is none. */
function fieldsOf(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** A position as a record or a note says it; undefined if it says none. */
export function positionIn(text: string): number | undefined {
  const { position } = fieldsOf(text);
  return Number.isSafeInteger(position) && (position as number) >= 0 ? (position as number) : undefined;
}

/**
 * The note in the data directory that this log is being published, made before its first event is: without it a checkpoint
 * that is missing could not be told from one that has never been.
 */
export const noteFile = (dataDir: string, name: string): string => join(dataDir, `published-${name}.json`);

interface Note {
  logId: string;
  topic: string;
  /** So far it had been published at least. */
  position: number;
}

/**
 * The position that is noted; undefined if there is no note.
 * @throws DataDirUnreadable
 */
export function readNote(file: string): number | undefined {
  const text = textOf(file);
  if (text === undefined) return undefined;
  const position = positionIn(text);
  if (position !== undefined) return position;
  const reason = `${file} does not say how far the log is published; set the stream's resumeAfter, and remove it`;
  throw new TrunklineError('DataDirUnreadable', { dataDir: dirname(file), reason });
}

/** Unless it stands there already. */
export function writeNote(file: string, note: Note): void {
  const text = `${JSON.stringify(note)}\n`;
  if (textOf(file) !== text) writeFileDurably(file, text);
}

/** Undefined if there is none; one that cannot be read is not taken for that: what it holds would be published again. */
function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
