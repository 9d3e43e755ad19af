// What commands print: lines for people, or, with --json, one JSON value on standard output.
import type { Command } from 'commander';
import { printJson, printLines } from './print.ts';

export interface OutputOptions {
  json?: boolean;
}

/** Give a command `--json`. */
export const withJson = (command: Command): Command => command.option('--json', 'print JSON instead');

/** `lines`: what people read; made only where they do. */
export function output({ json }: OutputOptions, value: unknown, lines: () => readonly string[]): void {
  if (json) printJson(value);
  else printLines(lines());
}

/** What a command has found, and printed, ends it with this exit code: no error, and nothing more to say. */
export class Found extends Error {
  readonly exitCode: number;

  constructor(exitCode = 1) {
    super();
    this.exitCode = exitCode;
  }
}
