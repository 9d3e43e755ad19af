// A statement's text with its values in it: for a query of several statements, which takes none beside it.
import pg from 'pg';

/** Texts and quoted names stand for themselves, whatever they hold. */
const parts = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\d+)/g;

/** `text` with its parameters written into it. */
export const filled = (text: string, values: readonly unknown[]): string =>
  values.length === 0
    ? text
    : text.replaceAll(parts, (part, number) => (number === undefined ? part : literal(values[number - 1])));

const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): string | Buffer | null } }).utils;

/** As the client would send it: without a type, which the server finds as it does for a parameter. */
function literal(value: unknown): string {
  const sent = prepareValue(value);
  if (sent === null) return 'null';
  return pg.escapeLiteral(typeof sent === 'string' ? sent : `\\x${sent.toString('hex')}`);
}
