// How our statements are read: names without a schema, and operators, are the server's own, whatever search_path a session has.
// A role that may make a schema could otherwise put an operator there which fits our operands better than the server's, and
// its function would run with the service's rights. Every statement is read on `ownPath` in one of three ways:
//
// - A session that is ours alone is set to it when it is opened (server-session.ts), a transaction of ours where it begins.
// - Behind a pooler, and on a client of the user's, nothing may be set for the session: a statement outside of a transaction
//   brings the path along. Both are sent as one query, which the server takes as one transaction; the values are
//   written into its text, since a query of several statements takes no parameters. COPY out, too (copy-out.ts).
// - A statement in a transaction that a handler's own statements share must not change the path: it names each operator with its schema (`operator(pg_catalog.=)`). Only the adapter's handlers/ and append.ts have such statements.
//
// test/store/postgres/qualified.test.ts holds the texts to it.
import type pg from 'pg';
import { filled } from './filled.ts';
import { setOwn } from './session-sql.ts';

type Send = (...asked: any[]) => any;

/** Clients whose sessions have a path of others. */
const unset = new WeakSet<object>();

/** From now on `client`, which sends its statements by {@link sendOnOwnPath}, brings the path along. */
export const bringsPath = (client: object): void => void unset.add(client);

/** Whether the next statement, which is no query of ours that brings it along, needs a transaction that has the path. */
export const lacksPath = (client: pg.ClientBase): boolean =>
  unset.has(client) && (client.getTransactionStatus?.() ?? 'I') === 'I';

/** A client of the user's, or one that runs statements of the user's, for statements of ours outside of transactions. */
export function onOwnPath<Client extends Pick<pg.ClientBase, 'query'>>(client: Client): Client {
  const own: Client = Object.create(client);
  const send: Send = (...asked) => (client.query as Send)(...asked);
  Object.defineProperty(own, 'query', { value: (...asked: any[]) => sendOnOwnPath(own as any, send, asked) });
  bringsPath(own);
  return own;
}

const controls = /^\s*(?:begin|set|commit|rollback|savepoint|release)\b/i;

/** What `client.query` is asked, by `send`. Streams (COPY) are sent as they are. */
export function sendOnOwnPath(client: pg.ClientBase, send: Send, asked: any[]): any {
  const [config, values] = asked;
  if (typeof config?.submit === 'function' || !lacksPath(client)) return send(...asked);
  const query = typeof config === 'string' ? { text: config, values } : config;
  if (controls.test(query.text)) return send(...asked);
  return send({ ...query, text: `${setOwn}; ${filled(query.text, query.values ?? [])}`, values: undefined }).then(
    ([, , ...results]: pg.QueryResult[]) => (results.length === 1 ? results[0] : results),
  );
}
