// The only place that writes to the terminal. Whatever a line is made of, it stays one line and moves nothing: ids, names and
// error texts come from clients and servers.
import { printable, printableJson } from '../base/printable.ts';

/** How standard output is written to where code of the user's may write, too; undefined: as any. */
let own: typeof process.stdout.write | undefined;

/** From now on what others write to standard output goes to stderr: a value there is read by programs, and stays one value. */
export function divertOthers(): void {
  if (own !== undefined) return;
  own = process.stdout.write.bind(process.stdout);
  const write = (...given: Parameters<typeof process.stderr.write>): boolean => process.stderr.write(...given);
  Object.assign(process.stdout, { write });
}

/** All that was printed has been handed over, as far as the reader takes it. */
export async function flushed(): Promise<void> {
  const write = own ?? process.stdout.write.bind(process.stdout);
  await new Promise<void>((done) => write('', () => done()));
  await new Promise<void>((done) => process.stderr.write('', () => done()));
}

/** Text of the command's own, as it is. */
export function print(text: string): void {
  if (own === undefined) process.stdout.write(text);
  else own(text);
}

export function printLines(lines: readonly string[]): void {
  print(lines.map((line) => `${printable(line)}\n`).join(''));
}

export function printJson(value: unknown): void {
  print(`${printableJson(JSON.stringify(value, null, 2))}\n`);
}

export function printError(...lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${printable(line)}\n`).join(''));
}

/** A connection that strangers can read, or that they can answer instead of the server. */
export function warnOfOpen(host: string): void {
  printError(`warning: the connection to ${host} has no TLS, or does not verify the server`);
}

/** On a terminal each one takes the place of the one before. */
export function printProgress(line: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${printable(line)}` : `${printable(line)}\n`);
}

/** After the last {@link printProgress}. */
export function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\n');
}

/**
 * What the parser says of words that it does not understand. It repeats them, and they may be passwords or connection strings
 * in the wrong place: of an option only its name is left, of anything else nothing. Its suggestions are lines of their own.
 */
export function parserError(text: string): string {
  const [, message, suggestion = ''] = /^(.*?)(\n\(Did you mean [^\n]*)?\n?$/s.exec(text)!;
  const silent = message!
    .replace(/unknown option '(--[\w-]{0,40}|-\w?).*'/s, "unknown option '$1'")
    .replace(/unknown command '.*'/s, 'unknown command')
    .replace(/(argument|value) '.*'(?= (?:is invalid|from env '))/s, '$1');
  return `${printable(silent)}${suggestion && `\n${printable(suggestion.slice(1))}`}\n`;
}
