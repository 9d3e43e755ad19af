// The marker: `log.json` beside the log's data. It says how the last run ended and which runs there have been.
// The log thread writes it; the host thread and the command line read it.
//
// - `clean` is false from before the first append of a run until after its last sync.
// - Every start adds an incarnation before its first append. A chunk of incarnation k at position p counts only while no
//   later incarnation began at or before p: what a power loss took from the log is written again under the next one,
//   and the old bytes, should they still stand somewhere in the file, are never mistaken for current ones.

import { uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { dateMs } from '../base/clock.ts';
import { writeFileDurably } from '../base/durable-file.ts';
import { TrunklineError } from '../base/errors.ts';
import { NOTE_BYTES_LIMIT, parseJson, readText } from '../base/foreign-file.ts';
import { randomBytes, randomInt } from '../base/random.ts';
import type { Incarnation } from './chunk.ts';
import type { Lost } from './losses.ts';

const MARKER_FORMAT = 1;
/** There is an incarnation for each start that a chunk in the log is of, some 80 bytes each. */
const markerBytesLimit = 64 * NOTE_BYTES_LIMIT;

export interface RunManifest {
  format: number;
  logId: string;
  bootId: string;
  clean: boolean;
  /** after a clean end: the last position that was synced */
  lastPosition?: number;
  /** a sync failed in the last run */
  poisoned?: boolean;
  incarnations: { number: number; seed: number; fromPosition: number }[];
  /** what recoveries have given up; none if absent */
  lost?: Lost[];
}

export const markerFile = (folder: string): string => join(folder, 'log.json');

/** The kernel's name for this boot of the machine: another one means that the page cache is gone. */
export function bootId(): string {
  try {
    const known = readText('/proc/sys/kernel/random/boot_id')?.trim();
    if (known) return known;
  } catch {}
  // The minute of the boot. The clock may be set in between: then a kill is taken for a power loss, which is only slower.
  return `boot-${Math.round((dateMs() / 1000 - uptime()) / 60)}`;
}

/** undefined where there is none. Throws `DataDirNewerFormat`, or `LogDamaged` if it cannot be understood. */
export function readMarker(folder: string): RunManifest | undefined {
  const text = readText(markerFile(folder), markerBytesLimit);
  if (text === undefined) return undefined;
  const marker = parseJson(text);
  if (isMarker(marker)) return marker;
  const format = (marker as RunManifest | undefined)?.format;
  if (typeof format === 'number' && format > MARKER_FORMAT) {
    throw new TrunklineError('DataDirNewerFormat', {
      dataDir: dirname(folder),
      found: format,
      supported: MARKER_FORMAT,
    });
  }
  throw new TrunklineError('LogDamaged', { dataDir: dirname(folder), reason: 'log.json cannot be understood' });
}

function isMarker(value: unknown): value is RunManifest {
  const manifest = value as RunManifest | null;
  return (
    typeof manifest === 'object' &&
    manifest !== null &&
    manifest.format === MARKER_FORMAT &&
    /^[0-9a-f]{16}$/.test(manifest.logId) &&
    typeof manifest.bootId === 'string' &&
    typeof manifest.clean === 'boolean' &&
    (manifest.lost === undefined ||
      (Array.isArray(manifest.lost) && manifest.lost.every((one) => isCount(one?.from) && isCount(one.to)))) &&
    Array.isArray(manifest.incarnations) &&
    manifest.incarnations.every(
      (one, i, all) =>
        isCount(one?.number) &&
        isCount(one.seed) &&
        isCount(one.fromPosition) &&
        (i === 0 || (one.number > all[i - 1]!.number && one.fromPosition >= all[i - 1]!.fromPosition)),
    )
  );
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

export function writeMarker(folder: string, manifest: RunManifest): void {
  writeFileDurably(markerFile(folder), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

export function newMarker(bootId: string): RunManifest {
  return { format: MARKER_FORMAT, logId: randomBytes(8).toString('hex'), bootId, clean: true, incarnations: [] };
}

/** The marker with one more incarnation, which begins at `fromPosition`. */
export function addIncarnation(manifest: RunManifest, fromPosition: number): RunManifest {
  const number = (manifest.incarnations.at(-1)?.number ?? 0) + 1;
  return { ...manifest, incarnations: [...manifest.incarnations, { number, seed: randomInt(2 ** 32), fromPosition }] };
}

/**
 * The run of the last incarnation begins: durable before it appends anything. Incarnations that have no chunk at or above
 * `firstKept` are forgotten, and those that have none at all, since the next one began where they did: so there are no more
 * of them than chunks in the log.
 */
export function beginRun(folder: string, manifest: RunManifest, bootId: string, firstKept: number): Incarnation {
  const incarnations = manifest.incarnations.filter(({ fromPosition }, i, all) => {
    const end = all[i + 1]?.fromPosition ?? Number.POSITIVE_INFINITY;
    return end > firstKept && end > fromPosition;
  });
  const { format, logId, lost } = manifest;
  writeMarker(folder, { format, logId, bootId, clean: false, incarnations, ...(lost && { lost }) });
  const { number, seed } = incarnations.at(-1)!;
  return { logId, number, seed };
}

/** The run has ended in order: everything up to `lastPosition` is synced, and no thread writes any more. */
export function markClean(folder: string, lastPosition: number): void {
  const manifest = readMarker(folder);
  if (manifest) writeMarker(folder, { ...manifest, clean: true, lastPosition });
}

/** A sync has failed: the page cache may hold what the disk never will. The next start must not believe it. */
export function markPoisoned(folder: string): void {
  const manifest = readMarker(folder);
  if (manifest) writeMarker(folder, { ...manifest, poisoned: true });
}
