// The floor file: the lowest position that anyone may still need, made durable before anything below it is removed.
//
// Without it a scan after power loss could not tell a hole that truncation made (pages of a removed chunk, reused by a
// write that itself got lost) from a hole that the power loss made; one is to be passed over, at the other the log ends.
//
//   0       8          512 …
//   ├ floor ┼ CRC-32 ┤ ├ the same ┤      two slots, written in turns: a torn write leaves the other one
//   │ f64   │ u32    │

import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { closeSync, existsSync, fdatasyncSync, readSync, writeSync } from '../base/disk.ts';
import { writeFileDurably } from '../base/durable-file.ts';
import { openPrivate } from '../base/private-file.ts';

const SLOT_BYTES = 12;
const slotOffsets = [0, 512] as const;

/** Owned by the log thread. */
export class FloorFile {
  private readonly descriptor: number;
  private readonly slot: Buffer = Buffer.alloc(SLOT_BYTES);
  private turn = 0;
  /** Only ever rises. */
  floor: number;

  private constructor(descriptor: number, floor: number, turn: number) {
    this.descriptor = descriptor;
    this.floor = floor;
    this.turn = turn;
  }

  static open(folder: string): FloorFile {
    const { floor, slot } = readSlots(folder);
    const file = floorFileOf(folder);
    // Both slots exist from the start: raising the floor must not need room on a full disk.
    if (!existsSync(file)) writeFileDurably(file, Buffer.alloc(slotOffsets[1] + SLOT_BYTES));
    const descriptor = openPrivate(file, 'write');
    return new FloorFile(descriptor, floor, slot === 0 ? 1 : 0);
  }

  /** When this returns, the floor survives power loss. */
  raise(floor: number): void {
    if (floor <= this.floor) return;
    this.slot.writeDoubleLE(floor, 0);
    this.slot.writeUInt32LE(crc32(this.slot.subarray(0, 8)), 8);
    writeSync(this.descriptor, this.slot, 0, SLOT_BYTES, slotOffsets[this.turn]!);
    fdatasyncSync(this.descriptor);
    this.turn = 1 - this.turn;
    this.floor = floor;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

const floorFileOf = (folder: string): string => join(folder, 'floor');

/** The floor last made durable; 0 if there is none. */
export const readFloor = (folder: string): number => readSlots(folder).floor;

function readSlots(folder: string): { floor: number; slot?: number } {
  let descriptor: number;
  try {
    descriptor = openPrivate(floorFileOf(folder), 'read');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { floor: 0 };
    throw error;
  }
  try {
    return bestOf(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function bestOf(descriptor: number): { floor: number; slot?: number } {
  let best: { floor: number; slot?: number } = { floor: 0 };
  const slot = Buffer.alloc(SLOT_BYTES);
  for (const [index, offset] of slotOffsets.entries()) {
    if (readSync(descriptor, slot, 0, SLOT_BYTES, offset) !== SLOT_BYTES) continue;
    const floor = slot.readDoubleLE(0);
    const isSound = crc32(slot.subarray(0, 8)) === slot.readUInt32LE(8) && Number.isSafeInteger(floor) && floor > 0;
    if (isSound && floor > best.floor) best = { floor, slot: index };
  }
  return best;
}
