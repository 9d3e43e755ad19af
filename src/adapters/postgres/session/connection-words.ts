// What a connection may say, in a string or in parts. The client library passes over what it does not know: with `ssl_mode` in
// the place of `sslmode` it would send everything without TLS. So what it does not act on is refused. Any thread.
import { invalid } from '../../../base/checks.ts';
import { nearest } from '../../../base/known-fields.ts';

/** Settings of TLS in a connection string. */
const tlsNames = ['ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'sslnegotiation'] as const;

const ofBoth: readonly string[] = [
  ...['user', 'password', 'host', 'port', 'ssl', 'sslnegotiation', 'application_name', 'fallback_application_name'],
  ...['options', 'client_encoding', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'],
  'query_timeout',
];
/** Behind the `?` of a connection string: what pg-connection-string and pg act on there. */
const words: readonly string[] = [...ofBoth, ...tlsNames, 'uselibpqcompat'];
/** Fields of a connection: options of `pg.Client`. */
const fields: readonly string[] = [
  ...[...ofBoth, 'connectionString', 'database', 'connectionTimeoutMillis', 'keepAlive', 'keepAliveInitialDelayMillis'],
  ...['stream', 'types', 'binary', 'enableChannelBinding', 'scramMaxIterations'],
];

/** Of words that say whether there is TLS, all that the client library understands. */
const values: Readonly<Record<string, readonly string[]>> = {
  sslmode: ['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full'],
  ssl: ['true', '1', 'false', '0', 'no-verify'],
  sslnegotiation: ['postgres', 'direct'],
  uselibpqcompat: ['true', 'false'],
};

/**
 * The setting in a connection string by which `pg` decides on TLS, whatever `ssl` beside it says; undefined: there is none. That
 * a server is asked for TLS in the older way does not ask it.
 */
export const tlsWordIn = (given: URLSearchParams): string | undefined =>
  tlsNames.find((name) => given.has(name) && !(name === 'sslnegotiation' && given.get(name) === 'postgres'));

/** @throws InvalidOptions, without what was given: it may be a part of a password */
export function checkWords(option: string, given: URLSearchParams): void {
  const refuse = (reason: string): never => invalid(option, undefined, reason);
  const seen = new Set<string>();
  for (const [word, value] of given) {
    if (!words.includes(word)) refuse(`has a parameter behind the ? ${unknown(word, words)}`);
    if (seen.has(word)) refuse(`says ${word} twice`);
    seen.add(word);
    const known = Object.hasOwn(values, word) ? values[word]! : undefined;
    if (known?.includes(value) === false) refuse(`has a ${word} that is none of ${known.join(', ')}`);
    if (value === '' && (tlsNames as readonly string[]).includes(word)) refuse(`has a ${word} without a value`);
  }
}

/** @throws InvalidOptions, without what was given */
export function checkParts(option: string, given: object): void {
  const field = Object.keys(given).find((key) => !fields.includes(key));
  if (field !== undefined) invalid(option, undefined, `has a field ${unknown(field, fields)}`);
}

function unknown(name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  const suggestion = meant === undefined ? '' : `; did you mean '${meant}'?`;
  return `that the client library does not act on${suggestion} (known: ${known.join(', ')})`;
}
