// One aggregate's events, found by walking back from its head, block by block, and returned in version order in one buffer.
import { alignUp } from '../../../wire/frame.ts';
import { BlockView } from './block.ts';
import type { BlockCache } from './block-cache.ts';
import { damaged, type Environment } from './environment.ts';
import type { HeadRecord } from './heads.ts';
import { KeyWriter } from './layout.ts';

/** Reuse one per thread: its buffer grows to the longest chain read so far. */
export class ChainReader {
  private readonly environment: Environment;
  private readonly cache: BlockCache | undefined;
  private readonly keys = new KeyWriter();
  /** Of what no cache keeps. */
  private readonly uncached = new BlockView();
  /** The block that is looked at, and its key; 0: none, since what was looked at last time may be overwritten. */
  private view: BlockView = this.uncached;
  private key = 0;
  private buffer: Buffer = Buffer.allocUnsafeSlow(1 << 14);
  private start = 0;
  /** How many events were read. */
  count = 0;
  /** Of what was read, the version before the first event: above `after` where a local cache does not reach back further. */
  base = 0;

  constructor(environment: Environment, cache?: BlockCache) {
    this.environment = environment;
    this.cache = cache;
  }

  /** The frames read, in version order; valid until the next {@link read}. */
  get frames(): Buffer {
    return this.buffer.subarray(this.start);
  }

  /**
   * Read the events with versions above `after` and up to `upTo`, whose last is at most the head's. `positions`, if given,
   * is filled with theirs, newest first.
   */
  read(head: HeadRecord, after: number, upTo: number, positions?: number[]): void {
    this.start = this.buffer.length;
    this.count = 0;
    let { block: key, index } = head;
    this.key = 0;
    this.base = Math.min(after, head.version);
    for (let { version } = head; version > after; version--) {
      if (this.key !== key && !this.look(key)) {
        this.base = version;
        return;
      }
      const { block, frame } = this.view;
      if (index >= block.count) throw this.broken(head, version);
      frame.at(block.frameAt(index));
      if (frame.version !== version) throw this.broken(head, version);
      if (version <= upTo) {
        this.prepend(block.bytes, frame.offset, alignUp(frame.length));
        positions?.push(block.positionAt(index));
      }
      key = block.previousBlockAt(index);
      index = block.previousIndexAt(index);
    }
  }

  /** Where the events with versions above `after` lie, oldest first. */
  places(head: HeadRecord, after: number): { key: number; index: number; position: number }[] {
    const places: { key: number; index: number; position: number }[] = [];
    let { block: key, index } = head;
    this.key = 0;
    for (let { version } = head; version > after; version--) {
      if (this.key !== key && !this.look(key)) return places.reverse();
      const { block } = this.view;
      if (index >= block.count) throw this.broken(head, version);
      places.push({ key, index, position: block.positionAt(index) });
      key = block.previousBlockAt(index);
      index = block.previousIndexAt(index);
    }
    return places.reverse();
  }

  /** False where a local cache has let go of the block. */
  private look(key: number): boolean {
    const { environment, cache, uncached } = this;
    this.key = key;
    const known = cache?.get(key);
    if (known !== undefined) {
      this.view = known;
      return true;
    }
    const bytes = environment.blocks.getBinaryFast(this.keys.block(key));
    if (bytes === undefined && environment.identity?.holds === 'memory') return false;
    if (bytes === undefined || !uncached.over(key, bytes))
      throw damaged(environment.folder, `block ${key} is not there`);
    this.view = uncached;
    cache?.put(key, bytes);
    return true;
  }

  private prepend(source: Buffer, offset: number, bytes: number): void {
    if (bytes > this.start) {
      const used = this.buffer.length - this.start;
      const grown = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(2 * (used + bytes))));
      this.buffer.copy(grown, grown.length - used, this.start);
      this.start = grown.length - used;
      this.buffer = grown;
    }
    this.start -= bytes;
    source.copy(this.buffer, this.start, offset, offset + bytes);
    this.count++;
  }

  private broken(head: HeadRecord, version: number): Error {
    return damaged(this.environment.folder, `the events of ${head.type}/${head.id} break off at version ${version}`);
  }
}
