// Power loss, without pulling the plug. A run of appends, truncations and syncs is recorded as the versions that each
// 512-byte sector of the data file went through. An image of the file after power loss takes for each sector any version
// since the last completed sync began: older ones have been overwritten on the disk, younger ones may not have got there.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataFileOf } from '../../src/log/layout.ts';
import type { SampleLog } from '../log/sample-log.ts';

const PAGE = 4096;
const SECTOR = 512;
const SECTORS = PAGE / SECTOR;

/** What had happened by one moment of a run. */
interface Moment {
  /** Pages that the last step changed. */
  changed: Map<number, Buffer>;
  pages: number;
  floorFile: Buffer;
  written: number;
  /** Index of the moment whose state the last completed sync made durable, and the position it covers. */
  syncedMoment: number;
  synced: number;
  floor: number;
}

export interface Expectation {
  synced: number;
  written: number;
  floor: number;
}

export class Recording {
  readonly log: SampleLog;
  private readonly moments: Moment[] = [];
  private current: Buffer;
  private readonly start: Buffer;
  private readonly marker: Buffer;
  private syncing: { moment: number; position: number; until: number } | undefined;

  /** Everything in the log so far is synced: recovery has done that, or it is empty. */
  constructor(log: SampleLog) {
    this.log = log;
    this.start = readFileSync(log.writer.dataFile);
    this.current = this.start;
    this.marker = readFileSync(join(log.folder, 'log.json'));
    this.moments.push({
      changed: new Map(),
      pages: pageCount(this.current),
      floorFile: readFileSync(join(log.folder, 'floor')),
      written: log.nextPosition - 1,
      syncedMoment: 0,
      synced: log.nextPosition - 1,
      floor: 1,
    });
  }

  get length(): number {
    return this.moments.length;
  }

  get synced(): number {
    return this.moments.at(-1)!.synced;
  }

  /** Note what the last step has changed. */
  step(floor: number): void {
    const file = readFileSync(this.log.writer.dataFile);
    const pages = pageCount(file);
    const changed = new Map<number, Buffer>();
    for (let page = 0; page < pages; page++)
      if (!isSamePage(file, this.current, page)) changed.set(page, pageOf(file, page));
    this.current = file;
    const last = this.moments.at(-1)!;
    const moment = {
      ...last,
      changed,
      pages,
      floorFile: readFileSync(join(this.log.folder, 'floor')),
      written: this.log.nextPosition - 1,
      floor,
    };
    if (this.syncing && this.moments.length >= this.syncing.until) {
      moment.syncedMoment = this.syncing.moment;
      moment.synced = this.syncing.position;
      this.syncing = undefined;
    }
    this.moments.push(moment);
  }

  /** A sync begins now, and will have completed after so many more steps; commits go on meanwhile. */
  beginSync(steps: number): void {
    this.syncing ??= {
      moment: this.moments.length - 1,
      position: this.log.nextPosition - 1,
      until: this.moments.length + steps,
    };
  }

  /**
   * Put into `folder` what the disk may hold if the power goes after moment `at`. `stale` is what stood in the disk's
   * blocks before the file got them: it shows where the file had grown, and the new content had not come. `syncsDoNothing`
   * is for a control: syncs were told to have completed, and made nothing durable.
   */
  lose(folder: string, at: number, random: () => number, stale?: Buffer, syncsDoNothing = false): Expectation {
    const moment = this.moments[at]!;
    const syncedMoment = syncsDoNothing ? 0 : moment.syncedMoment;
    const versions: Buffer[][] = pagesOf(this.start).map((page) => [page]);
    for (let i = 1; i <= at; i++) {
      for (const [page, content] of this.moments[i]!.changed) {
        if (i <= syncedMoment) versions[page] = [content];
        else (versions[page] ??= [unwritten(page, stale, random)]).push(content);
      }
    }
    // How much gets through differs from image to image: nearly nothing, half, nearly all.
    const reach = [0.05, 0.5, 0.95][Math.floor(random() * 3)]!;
    const image = Buffer.alloc(versions.length * PAGE);
    for (const [page, [oldest, ...younger]] of versions.entries()) {
      let content = oldest!;
      if (younger.length > 0) {
        const isTorn = random() < 0.2;
        const pick = (): Buffer => (random() < reach ? younger[Math.floor(random() * younger.length)]! : oldest!);
        if (isTorn) {
          content = Buffer.alloc(PAGE);
          for (let s = 0; s < SECTORS; s++) pick().copy(content, s * SECTOR, s * SECTOR, (s + 1) * SECTOR);
        } else content = random() < reach * reach ? younger.at(-1)! : pick();
      }
      content.copy(image, page * PAGE);
    }
    const least = this.moments[syncedMoment]!.pages;
    const pages = least + Math.floor(random() * (versions.length - least + 1));
    mkdirSync(folder, { recursive: true });
    writeFileSync(dataFileOf(folder), image.subarray(0, (random() < 0.5 ? versions.length : pages) * PAGE));
    writeFileSync(join(folder, 'floor'), moment.floorFile);
    writeFileSync(join(folder, 'log.json'), this.marker);
    return { synced: moment.synced, written: moment.written, floor: moment.floor };
  }
}

const pageCount = (file: Buffer): number => Math.ceil(file.length / PAGE);

/** Copies a page: of a version of the file nearly all are those of the one before, and are not kept again. */
function pageOf(file: Buffer, page: number): Buffer {
  const copy = Buffer.alloc(PAGE);
  file.copy(copy, 0, page * PAGE, (page + 1) * PAGE);
  return copy;
}

const pagesOf = (file: Buffer): Buffer[] => Array.from({ length: pageCount(file) }, (_, page) => pageOf(file, page));

function isSamePage(file: Buffer, before: Buffer, page: number): boolean {
  const [from, to] = [page * PAGE, Math.min((page + 1) * PAGE, file.length)];
  return to <= before.length && file.compare(before, from, to, from, to) === 0;
}

function unwritten(page: number, stale: Buffer | undefined, random: () => number): Buffer {
  const content = Buffer.alloc(PAGE);
  if (!stale || stale.length < PAGE) return content;
  const pages = Math.floor(stale.length / PAGE);
  const from = random() < 0.5 && page < pages ? page : Math.floor(random() * pages);
  stale.copy(content, 0, from * PAGE, (from + 1) * PAGE);
  return content;
}
