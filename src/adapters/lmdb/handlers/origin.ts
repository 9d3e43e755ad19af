// Which log the handlers' environment belongs to: positions mean nothing in another one, nor in a copy of the same that has
// not come so far. A subscription that stood ahead of the log would pass over what the log is yet to hold, in silence.

import { TrunklineError } from '../../../base/errors.ts';
import { checkedJson, text } from '../../../base/json.ts';
import { checkpointTable, checkReached, remedy, wholeCheckpoint } from '../../../handler-state/checkpoint.ts';
import type { Entry } from '../../../handler-state/handler-state-store.ts';

/** The log that is here, and where it ends. */
export interface LogHere {
  readonly logId: string;
  readonly lastPosition: number;
}

/** The entry that holds the log's id: written with the first commit of all. */
export const originTable = 'origin';
export const originKey = 'log';

interface Kept {
  get(table: string, key: string): string | undefined;
  range(table: string, range: object): Entry[];
}

/** @throws StoreDamaged, LogDamaged */
export function checkOrigin(kept: Kept, { logId, lastPosition }: LogHere, dataDir: string): void {
  const origin = kept.get(originTable, originKey);
  const theirs = origin === undefined ? logId : checkedJson(origin, text, 'the log of the handlers');
  if (theirs !== logId) {
    const reason = `handlers/handlers.mdb belongs to log ${theirs}, and the log here is ${logId}; ${remedy}`;
    throw new TrunklineError('StoreDamaged', { dataDir, reason });
  }
  for (const { key, json } of kept.range(checkpointTable, {})) {
    const checkpoint = wholeCheckpoint(json, key);
    if (checkpoint !== undefined) checkReached(dataDir, key, checkpoint, lastPosition);
  }
}
