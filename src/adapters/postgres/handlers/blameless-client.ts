// What a statement of a projection that has failed says: of the store, of too many events at once, or of the events and rows.
// Owned by the host thread.
//
// Invariant: what holds up a statement (a lock, the server) is the store's own error: it says nothing of events and rows, and is no
// failed attempt.
import type pg from 'pg';
import type { SqlClient } from '../../../handler-state/effect-transaction.ts';
import type { StoredEvent } from '../../../model/event.ts';
import { failure, tooSlow } from '../session/failure.ts';
import { kindOf, mayPass } from '../session/sqlstate.ts';

/** `client`, which folds `events`; what takes too long is done for fewer of them first. */
export function blamelessClient(
  client: SqlClient,
  events: readonly StoredEvent[],
  { projection, schema }: { projection: string; schema: string },
): Pick<pg.ClientBase, 'query'> {
  const query = async (...asked: unknown[]): Promise<unknown> => {
    try {
      return await (client.query as (...asked: unknown[]) => Promise<unknown>)(...asked);
    } catch (error) {
      const kind = kindOf(error);
      if (kind === 'slow' && events.length > 1) throw error;
      if (kind === 'slow') throw tooSlow(`event ${events[0]!.id} in '${projection}'`, error);
      throw mayPass(error) ? failure(error, schema) : error;
    }
  };
  return { query } as unknown as Pick<pg.ClientBase, 'query'>;
}
