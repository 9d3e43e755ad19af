// The look at who else owns or makes something in our schema, for sessions: it takes the server some 10 to 20 ms, so a thread
// looks once a minute at each target, however many sessions it opens there. The first session of a target is always looked at,
// and a look that has found something is repeated by the next session.
import type pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { checkOwnership } from './ownership.ts';

const goodForMs = 60_000;
const mostTargets = 100;

/** By target, when it was last found good. */
const goodAt = new Map<string, number>();

/** @throws StoreSchemaUnsafe */
export async function checkOwnershipOfSession(client: pg.ClientBase, schema: string): Promise<void> {
  const { host, port, database, user } = client as pg.Client;
  const target = JSON.stringify([host, port, database, user, schema]);
  const at = performance.now();
  const last = goodAt.get(target);
  if (last !== undefined && at - last < goodForMs) return;
  await checkOwnership(client, schema, 'session');
  goodAt.delete(target);
  goodAt.set(target, at);
  for (const oldest of goodAt.keys()) {
    if (goodAt.size <= mostTargets) break;
    goodAt.delete(oldest);
  }
}
