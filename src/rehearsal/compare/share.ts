// A share of the aggregates: the same ones each time, in a rehearsal of the history and in a live one.

import { crc32 } from 'node:zlib';

/** `aggregateType`: as it is stored. `share`: 0 to 1. */
export const isInShare = (aggregateType: string, id: string, share: number): boolean =>
  share === 1 || crc32(`${aggregateType}/${id}`) < share * 2 ** 32;
