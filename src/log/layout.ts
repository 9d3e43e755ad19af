// How the log lies in its folder and its file: names and sizes that writing, reading and recovery agree on.
import { join } from 'node:path';

export const PAGE_BYTES = 4096;
/** LMDB's page header; in a run of overflow pages only the first has one. */
export const PAGE_HEADER_BYTES = 24;

export const dataFileOf = (folder: string): string => join(folder, 'log.mdb');

/** Pages that a chunk takes. */
export const pagesOf = (chunkBytes: number): number => Math.ceil((chunkBytes + PAGE_HEADER_BYTES) / PAGE_BYTES);

/** How far the file grows beyond what is needed; see sync-thread.ts, which does so ahead of need. */
export const AHEAD_PAGES = 1024;
/** A file that cannot be kept longer than what is needed by so much is short of disk. */
export const SHORT_PAGES: number = AHEAD_PAGES >> 1;
