// On what an answer without events rests. Events are compared with the head when they are stored, and refused if another log
// has the aggregate; an answer without any needs a frame of its own for that, where its caller waits for `stored` and the
// store is elsewhere. Owned by a shard.
import { dateMs } from '../base/clock.ts';
import type { Group } from '../shared/ring/group.ts';
import { FrameKind } from '../wire/frame.ts';
import { writeNewId } from '../wire/ids.ts';
import type { Actor } from './actor.ts';

/** The store's sink compares the version with its head's. */
export function writeBasis(group: Group, { type, id, version }: Actor): void {
  const now = dateMs();
  const offset = group.frame(FrameKind.basis, 0, now, version, type.name, id, '', '', '');
  writeNewId(group.frames.bytes, offset + 16, now);
}
