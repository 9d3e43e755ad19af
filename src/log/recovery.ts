// What a start does with the log before anything is appended.
//
//   the last run ended …                        then
//   in order, or was killed (same boot)         LMDB's pages are in order: check them and every chunk, read-only (tree.ts)
//   … and something there is wrong              scan the raw file, rebuild, keep the damaged file aside
//   with the machine (another boot), or a       LMDB's tree and the page cache are not to be believed: scan, rebuild
//   sync had failed
//
// LMDB itself never opens a file that has not passed the check: it can abort the process, or overwrite chunks.
// Every step may be cut short: the marker still tells how the last run ended until the new one begins, and the data file
// is exchanged by one rename. Nothing is removed that is not durable elsewhere.

import { dirname } from 'node:path';
import { performance } from '../base/clock.ts';
import { existsSync } from '../base/disk.ts';
import { diskFull, isDiskFull } from '../base/disk-reserve.ts';
import { TrunklineError } from '../base/errors.ts';
import { makePrivateFolder } from '../base/private-file.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { FRAME_HEADER_BYTES } from '../wire/frame.ts';
import { framesAreSound, type Incarnation, type ParsedChunk } from './chunk.ts';
import { ChunkChain } from './chunk-chain.ts';
import { FloorFile, readFloor } from './floor.ts';
import { dataFileOf, PAGE_BYTES, PAGE_HEADER_BYTES } from './layout.ts';
import { isCutShort, isOverflowRun } from './lmdb-format.ts';
import type { RecoveryReport } from './log.ts';
import { addLost, type Lost } from './losses.ts';
import { PageFile } from './pages.ts';
import { discardRebuilt, exchange, rebuild } from './rebuild.ts';
import { addIncarnation, beginRun, newMarker, type RunManifest, readMarker, writeMarker } from './run-manifest.ts';
import { joinChunks, type LeftOut, scanFile, whatIsLeftOut } from './scan.ts';
import { readTree } from './tree.ts';

export interface RecoveryOptions {
  /** The log's folder; created where it is missing. */
  folder: string;
  mapBytes: number;
  /** Identity of this boot of the machine. */
  bootId: string;
  /** Highest position that anyone downstream is known to have seen: the log goes on behind it, come what may. */
  seenPosition?: number;
  /** Those of the runtime, see `exit-guard.ts`. */
  control?: ControlBlock;
}

export interface Recovered {
  identity: Incarnation;
  /** What the next chunk names as its predecessor. */
  previousCrc: number;
  nextPosition: number;
  /** As the newest chunk knew it: no sink and no message needs anything below. */
  floor: number;
  /** What this start and earlier ones have given up. */
  lost: readonly Lost[];
  report: RecoveryReport;
}

/** What the log holds, in order. */
interface Content {
  first?: ParsedChunk;
  last?: ParsedChunk;
  frames: number;
}

/** What is wrong with the file, and the last position that it lays claim to all the same. */
interface Damage {
  reason: string;
  claimedPosition: number;
}

interface Outcome {
  content: Content;
  nextPosition: number;
  manifest: RunManifest;
  leftOut: LeftOut[];
  damagedFile?: string;
}

/** Throws `LogDamaged`, `DataDirNewerFormat`, `DiskFull` or `DataDirNotWritable`; the next start then finds what this one found. */
export async function recoverLog(options: RecoveryOptions): Promise<Recovered> {
  try {
    return await recover(options);
  } catch (error) {
    if (error instanceof TrunklineError) throw error;
    if (isDiskFull(error)) throw diskFull(options.folder, PAGE_BYTES, error);
    const details = { dataDir: dirname(options.folder), cause: String(error) };
    throw new TrunklineError('DataDirNotWritable', details, { cause: error });
  }
}

async function recover(options: RecoveryOptions): Promise<Recovered> {
  const started = performance.now();
  const { folder, bootId } = options;
  makePrivateFolder(folder);
  discardRebuilt(folder);
  const last = readMarker(folder);
  const pages = openPages(dataFileOf(folder));
  if (!last && pages) {
    pages.close();
    throw new TrunklineError('LogDamaged', { dataDir: dirname(folder), reason: 'log.json is missing' });
  }
  let outcome: Outcome;
  try {
    outcome = await examine(options, last ?? newMarker(bootId), pages);
  } finally {
    pages?.close();
  }
  const { content, nextPosition, manifest, leftOut, damagedFile } = outcome;
  const identity = beginRun(folder, manifest, bootId, content.first?.firstPosition ?? nextPosition);
  return {
    identity,
    previousCrc: content.last?.crc ?? 0,
    nextPosition,
    floor: content.last?.floor ?? nextPosition,
    lost: manifest.lost ?? [],
    report: {
      lastEnd: last ? lastEndOf(last, bootId) : 'new',
      firstPosition: content.first?.firstPosition ?? 0,
      lastPosition: content.last ? endOf(content.last) - 1 : 0,
      frames: content.frames,
      milliseconds: performance.now() - started,
      leftOut,
      ...(damagedFile === undefined ? {} : { damagedFile }),
    },
  };
}

async function examine(options: RecoveryOptions, last: RunManifest, pages: PageFile | undefined): Promise<Outcome> {
  const isTrusted = last.clean || (last.bootId === options.bootId && !last.poisoned);
  if (!pages) {
    // Killed before the first append; or else the file has been removed.
    const isMissing = last.incarnations.length > 1 || (last.incarnations.length === 1 && last.clean);
    if (!isMissing) return settle(options, last, { frames: 0 }, 0);
    const floor = Math.max(1, readFloor(options.folder));
    const reason = 'the data file is missing';
    const leftOut = [{ fromPosition: floor, toPosition: Math.max(floor, last.lastPosition ?? 0), reason }];
    return { ...settle(options, last, { frames: 0 }, options.mapBytes), leftOut };
  }
  const chain = new ChunkChain(last);
  let damage: Damage | undefined;
  if (isTrusted) {
    const claimedPosition = last.clean ? (last.lastPosition ?? 0) : 0;
    const checked = checkFile(pages, chain);
    if ('reason' in checked) {
      damage = { ...checked, claimedPosition: Math.max(checked.claimedPosition, claimedPosition) };
    } else {
      const isWhole = claimedPosition <= Math.max(lastPositionOf(checked), begunAt(last) - 1);
      if (isWhole) return settle(options, last, checked, 0);
      damage = { reason: 'the file ends early', claimedPosition };
    }
  }
  return rebuildFrom(options, last, pages, chain, damage);
}

/** Scan the raw file, and put what is whole and gap-free in its place. */
async function rebuildFrom(
  options: RecoveryOptions,
  last: RunManifest,
  pages: PageFile,
  chain: ChunkChain,
  damage: Damage | undefined,
): Promise<Outcome> {
  const { folder, mapBytes } = options;
  const scan = scanFile(pages, chain);
  const { kept, floor } = joinChunks(scan, chain, readFloor(folder));
  const expected = kept.length > 0 ? endOf(kept.at(-1)!) : floor;
  const leftOut = whatIsLeftOut(scan, kept, expected, damage?.claimedPosition ?? 0);
  const content: Content = {
    first: kept[0],
    last: kept.at(-1),
    frames: kept.reduce((sum, { count }) => sum + count, 0),
  };
  const outcome = settle(options, last, content, damage ? Math.max(mapBytes, pages.bytes) : 0);
  if (damage && isCutShort(pages)) {
    const fromPosition = Math.max(expected, (leftOut.at(-1)?.toPosition ?? 0) + 1);
    leftOut.push({
      fromPosition,
      toPosition: outcome.nextPosition - 1,
      reason: 'the file is cut short: at most these',
    });
  }
  await rebuild(folder, mapBytes, pages, kept, options.control);
  // The marker learns first where the next run will begin: should the rest be cut short, no later start can forget how
  // far positions had been given out, although it may find nothing wrong any more.
  writeMarker(folder, outcome.manifest);
  const reasonToKeep = damage?.reason ?? (leftOut.length > 0 ? 'parts are left out after power loss' : undefined);
  const damagedFile = exchange(folder, reasonToKeep);
  return { ...outcome, leftOut, damagedFile };
}

/**
 * Where the log goes on. After damage it leaps over every position that the lost bytes could have held, so that none is
 * given out twice: what is downstream may have seen them.
 */
function settle(options: RecoveryOptions, last: RunManifest, content: Content, lostBytes: number): Outcome {
  const { folder, seenPosition = 0 } = options;
  const behind = Math.max(lastPositionOf(content) + 1, readFloor(folder), begunAt(last), seenPosition + 1);
  const nextPosition = behind + Math.ceil(lostBytes / FRAME_HEADER_BYTES);
  const expected = content.last ? endOf(content.last) : Math.max(1, readFloor(folder));
  const firstKept = content.first?.firstPosition ?? expected;
  const lost = addLost(last.lost ?? [], { from: expected, to: nextPosition - 1 }, firstKept);
  if (!content.last && nextPosition > 1) {
    // Nothing below is there any more; a later scan must not wait for it.
    const floorFile = FloorFile.open(folder);
    try {
      floorFile.raise(nextPosition);
    } finally {
      floorFile.close();
    }
  }
  return {
    content,
    nextPosition,
    manifest: { ...addIncarnation(last, nextPosition), ...(lost.length > 0 && { lost }) },
    leftOut: [],
  };
}

/** Check LMDB's pages and every chunk, without LMDB: the content, or what is wrong. */
function checkFile(file: PageFile, chain: ChunkChain): Content | Damage {
  const places = readTree(file);
  if (typeof places === 'string') return { reason: places, claimedPosition: 0 };
  const content: Content = { frames: 0 };
  const claimedPosition = places.positions.at(-1) ?? 0;
  for (const [i, position] of places.positions.entries()) {
    const length = places.lengths[i]!;
    const page = places.pages[i]!;
    const bytes = file.read(page * PAGE_BYTES, PAGE_HEADER_BYTES + length);
    const whole = bytes.subarray(PAGE_HEADER_BYTES);
    const chunk = chain.read(whole);
    const isSound =
      chunk !== undefined &&
      chunk.firstPosition === position &&
      isOverflowRun(bytes, page, length) &&
      framesAreSound(whole, chunk) &&
      (content.last === undefined || chain.follows(content.last, chunk));
    if (!isSound) return { reason: `the chunk at ${position} is not as it was written`, claimedPosition };
    content.first ??= chunk;
    content.last = chunk;
    content.frames += chunk.count;
  }
  return content;
}

function openPages(file: string): PageFile | undefined {
  if (!existsSync(file)) return undefined;
  const pages = new PageFile(file);
  if (pages.bytes > 0) return pages;
  pages.close();
  return undefined;
}

function lastEndOf(last: RunManifest, bootId: string): RecoveryReport['lastEnd'] {
  if (last.clean) return 'clean';
  return last.bootId === bootId ? 'killed' : 'power loss';
}

/** Where the last run began. */
const begunAt = (last: RunManifest): number => last.incarnations.at(-1)?.fromPosition ?? 1;
/** The position after a chunk's last one. */
const endOf = (chunk: ParsedChunk): number => chunk.firstPosition + chunk.count;
const lastPositionOf = ({ last }: Content): number => (last ? endOf(last) - 1 : 0);
