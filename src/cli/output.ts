// What commands print: lines for people, or, with --json, one JSON value on standard output.
import type { Command } from 'commander';

export interface OutputOptions {
  json?: boolean;
}

/** Give a command `--json`. */
export const withJson = (command: Command): Command => command.option('--json', 'print JSON instead');

/** `lines`: what people read; made only where they do. */
export function output({ json }: OutputOptions, value: unknown, lines: () => string | readonly string[]): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    return;
  }
  const text = lines();
  process.stdout.write(typeof text === 'string' ? text : text.map((line) => `${line}\n`).join(''));
}
