// The ids of the events that a stored one has become: handlers and states tell them apart by these.

import { createHash } from 'node:crypto';

/** A part has an id of its own, always the same; the first one that of the stored event. */
export function partId(id: string, index: number): string {
  if (index === 0) return id;
  const hash = createHash('sha256').update(`${id}:${index}`).digest('hex');
  // The time of a UUIDv7 stays; random bits are made from the hash.
  return `${id.slice(0, 14)}7${hash.slice(0, 3)}-${id[19]}${hash.slice(3, 6)}-${hash.slice(6, 18)}`;
}
