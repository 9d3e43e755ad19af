// A look at a log from outside: its files as they stand, without LMDB and without owning them, so that a live runtime is
// not disturbed, and a damaged file does no harm.
import { existsSync, statSync } from '../base/disk.ts';
import { parseChunk } from './chunk.ts';
import { readFloor } from './floor.ts';
import { dataFileOf, PAGE_BYTES, PAGE_HEADER_BYTES } from './layout.ts';
import { PageFile } from './pages.ts';
import { readMarker } from './run-manifest.ts';
import { type ChunkPlaces, readTree } from './tree.ts';

/** What the files of a log say. */
export interface LogInspection {
  readonly logId: string;
  /** Whether the last run has ended in order; false also during a run. */
  readonly isClean: boolean;
  /** 0 and 0 where the log is empty. */
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** What is below has been had by everyone. */
  readonly floor: number;
  readonly bytes: number;
  /** Why positions could not be read, if so. */
  readonly fault: string | undefined;
}

const attempts = 20; // a live log changes while it is read without a lock

/** undefined: there is no log. */
export function inspectLog(folder: string): LogInspection | undefined {
  const manifest = readMarker(folder);
  const dataFile = dataFileOf(folder);
  if (manifest === undefined || !existsSync(dataFile)) return undefined;
  const found = readPositions(dataFile);
  const [firstPosition, lastPosition] = typeof found === 'string' ? [0, 0] : found;
  const fault = typeof found === 'string' ? found : undefined;
  const { logId, clean: isClean } = manifest;
  return {
    logId,
    isClean,
    firstPosition,
    lastPosition,
    floor: readFloor(folder),
    bytes: statSync(dataFile).size,
    fault,
  };
}

function readPositions(dataFile: string): readonly [number, number] | string {
  let fault = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    const file = new PageFile(dataFile);
    try {
      const places = readTree(file);
      if (typeof places === 'string') fault = places;
      else if (places.positions.length === 0) return [0, 0];
      else {
        const last = lastPositionOf(file, places);
        if (last !== undefined) return [places.positions[0]!, last];
        fault = 'its last chunk is not as it was written';
      }
    } finally {
      file.close();
    }
  }
  return fault;
}

function lastPositionOf(file: PageFile, { pages, lengths }: ChunkPlaces): number | undefined {
  const chunk = parseChunk(file.read(pages.at(-1)! * PAGE_BYTES + PAGE_HEADER_BYTES, lengths.at(-1)!));
  return chunk && chunk.firstPosition + chunk.count - 1;
}
