// LMDB's pages as they lie in the file: data version 2, as lmdb-js writes it.
//
//   page   0 ├ number u64 ┼ txn u64 ┼ — u16 ┼ flags u16 ┼ lower u16, upper u16 (overflow: pages u32) ┤ 24
//   meta  24 ├ magic u32 ┼ version u32 ┼ address u64 ┼ map bytes u64 ┼ free-list tree ┼ chunks tree ┼ last page u64 ┼ txn u64 ┤
//   tree   0 ├ page bytes u32 ┼ flags u16 ┼ depth u16 ┼ branch, leaf, overflow pages, entries, root: u64 each ┤ 48
//   node   0 ├ low u16 ┼ high u16 ┼ flags u16 ┼ key bytes u16 ┼ key … ┼ value, or of a long one: page u64, txn u64, pages u64 ┤
import { PAGE_BYTES, PAGE_HEADER_BYTES, pagesOf } from './layout.ts';
import type { PageFile } from './pages.ts';

const META_MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
export const PageFlag = { branch: 1, leaf: 2, overflow: 4, meta: 8 } as const;
export const NODE_HEADER_BYTES = 8;
export const LONG_VALUE = 1;
export const LONG_VALUE_BYTES = 24;
export interface Tree {
  flags: number;
  depth: number;
  branchPages: number;
  leafPages: number;
  overflowPages: number;
  entries: number;
  root: number;
}

export interface Meta {
  txn: number;
  lastPage: number;
  freeList: Tree;
  chunks: Tree;
}

/** One of the two metas; undefined if that is not what stands there. */
export function readMeta(file: PageFile, index: number): Meta | undefined {
  const page = file.read(index * PAGE_BYTES, PAGE_BYTES);
  const at = PAGE_HEADER_BYTES;
  const isMeta =
    page.length === PAGE_BYTES &&
    readNumber(page, 0) === index &&
    page.readUInt16LE(18) === PageFlag.meta &&
    page.readUInt32LE(at) === META_MAGIC &&
    page.readUInt32LE(at + 4) === DATA_VERSION &&
    readNumber(page, at + 8) === 0 &&
    page.readUInt32LE(at + 24) === PAGE_BYTES &&
    page.readUInt32LE(at + 72) === 0;
  if (!isMeta) return undefined;
  return {
    freeList: readTreeHead(page, at + 24),
    chunks: readTreeHead(page, at + 72),
    lastPage: readNumber(page, at + 120),
    txn: readNumber(page, at + 128),
  };
}

/** Whether the file ends before a page that LMDB has written, as far as its metas can be read. */
export function isCutShort(file: PageFile): boolean {
  if (file.bytes % PAGE_BYTES !== 0) return true;
  return [0, 1].some((index) => {
    const page = file.read(index * PAGE_BYTES, PAGE_BYTES);
    const at = PAGE_HEADER_BYTES + 120;
    return page.length < PAGE_BYTES || (readNumber(page, at) + 1) * PAGE_BYTES > file.bytes;
  });
}

/** Whether a run of overflow pages begins with `header`, as the tree says it does. */
export function isOverflowRun(header: Buffer, page: number, bytes: number): boolean {
  return (
    header.length >= PAGE_HEADER_BYTES &&
    readNumber(header, 0) === page &&
    header.readUInt16LE(18) === PageFlag.overflow &&
    header.readUInt32LE(20) === pagesOf(bytes)
  );
}

export const nodeAt = (page: Buffer, index: number): number =>
  page.readUInt16LE(PAGE_HEADER_BYTES + 2 * index) + PAGE_HEADER_BYTES;

/** Bytes that a node takes in its page: even. */
export function nodeBytes(page: Buffer, node: number, isLeaf: boolean): number {
  let bytes = NODE_HEADER_BYTES + page.readUInt16LE(node + 6);
  if (isLeaf) bytes += page.readUInt16LE(node + 4) === LONG_VALUE ? LONG_VALUE_BYTES : page.readUInt32LE(node);
  return bytes + (bytes % 2);
}

function readTreeHead(page: Buffer, at: number): Tree {
  return {
    flags: page.readUInt16LE(at + 4),
    depth: page.readUInt16LE(at + 6),
    branchPages: readNumber(page, at + 8),
    leafPages: readNumber(page, at + 16),
    overflowPages: readNumber(page, at + 24),
    entries: readNumber(page, at + 32),
    root: readNumber(page, at + 40),
  };
}

export function readNumber(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

export function readBigEndian(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
