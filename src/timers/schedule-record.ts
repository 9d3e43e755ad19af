// What the table has of a schedule. Host thread.
import { checked, listOf, number, object, optional, text } from '../base/json.ts';

/** The slot that has begun: the ids of its messages, and which of them earlier runs have executed. */
interface OpenSlot {
  slotMs: number;
  ids: string[];
  executed: string[];
}

/** What the table has of a schedule. */
export interface Kept {
  doneMs: number;
  open?: OpenSlot | undefined;
}

const openShape = object<OpenSlot>({ slotMs: number, ids: listOf(text), executed: listOf(text) });
const keptShape = object<Kept>({ doneMs: number, open: optional(openShape) });
export const keptIn = (value: unknown): Kept => checked(value, keptShape, 'the last slot of a schedule');
