// How many partitions each topic had when this log began to use it. A key's partition is a remainder of that number: with
// more partitions it would move, and an aggregate's events would lie in two of them, without an order between. So a topic
// that has grown is used as it was. Flush thread; a file in the data directory, durable before the first record of a topic.
import { dirname, join } from 'node:path';
import { writeFileDurably } from '../../base/durable-file.ts';
import { TrunklineError } from '../../base/errors.ts';
import { NOTE_BYTES_LIMIT, parseJson, readText } from '../../base/foreign-file.ts';
import { nameInFile } from '../../base/private-file.ts';

/** Names of topics have 249 characters at most: some 60,000 topics. */
const memoryBytesLimit = 16 * NOTE_BYTES_LIMIT;

export class PartitionMemory {
  private readonly file: string;
  private readonly known: Map<string, number>;

  /** @throws DataDirUnreadable */
  constructor(dataDir: string, sink: string) {
    this.file = join(dataDir, `partitions-${nameInFile(sink)}.json`);
    this.known = readKnown(this.file);
  }

  /** How many of the partitions found are used, by topic. One that has fewer than we know was made again. */
  use(found: ReadonlyMap<string, number>): Map<string, number> {
    const used = new Map<string, number>();
    let isNew = false;
    for (const [topic, partitions] of found) {
      const before = this.known.get(topic);
      const isKnown = before !== undefined && before <= partitions;
      used.set(topic, isKnown ? before : partitions);
      if (isKnown) continue;
      this.known.set(topic, partitions);
      isNew = true;
    }
    if (isNew) writeFileDurably(this.file, `${JSON.stringify(Object.fromEntries(this.known))}\n`);
    return used;
  }
}

function readKnown(file: string): Map<string, number> {
  const text = readText(file, memoryBytesLimit);
  if (text === undefined) return new Map();
  const known = parseJson(text);
  if (typeof known === 'object' && known !== null) {
    const entries = Object.entries(known as Record<string, number>);
    if (entries.every(([, partitions]) => Number.isSafeInteger(partitions) && partitions > 0)) return new Map(entries);
  }
  const reason = `${file} does not say how many partitions each topic had; remove it if no topic has got more since`;
  throw new TrunklineError('DataDirUnreadable', { dataDir: dirname(file), reason });
}
