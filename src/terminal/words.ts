// What words on the command line may be. A word that is empty (a variable that is not set, in a script) or that cannot be read
// as what it stands for is a usage error, exit code 2, before anything is done: it must never select everything.
import { type Command, InvalidArgumentError, Option } from 'commander';

/**
 * Refuse empty words for every option and argument of a program and its commands. A variable that is set and empty, as in a
 * container's file, counts as one that is not set: it is there for every command, whether or not the command needs it.
 */
export function refuseEmptyWords(program: Command): void {
  for (const option of program.options) {
    if (option.envVar !== undefined && process.env[option.envVar]?.trim() === '') option.envVar = undefined;
    if (!option.required && !option.optional) continue;
    const parse = option.parseArg as ((text: string, previous: unknown) => unknown) | undefined;
    option.argParser((text: string, previous: unknown) => {
      checkWord(text);
      if (parse !== undefined) return parse(text, previous);
      return option.variadic ? [...((previous as string[] | undefined) ?? []), text] : text;
    });
  }
  for (const argument of program.registeredArguments) {
    argument.argParser((text: string) => {
      checkWord(text);
      return text;
    });
  }
  for (const command of program.commands) refuseEmptyWords(command);
}

function checkWord(text: string): void {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  if (text.includes('\0')) throw new InvalidArgumentError('It must not hold U+0000.');
}

/** A count or a log position: 1, 2, 3 … */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('It must be a positive integer.');
}

/** Seconds, also a part of one. */
export function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value <= Number.MAX_SAFE_INTEGER / 1000) return value;
  throw new InvalidArgumentError('It must be a number of seconds, 0 or more.');
}

/** A part of all: above 0 and up to 1. */
export function share(text: string): number {
  const value = Number(text);
  if (/^(0?\.\d+|1(\.0+)?)$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('It must be a share above 0 and up to 1, as 0.05.');
}

/** ISO 8601: a day (UTC), or a time with its zone. */
export function time(text: string): string {
  const shape = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.exec(text);
  const day = shape && new Date(`${shape[1]}T00:00:00Z`);
  // Date takes 30 February for 1 or 2 March.
  const isDay = day && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(shape[1]!);
  const at = new Date(text);
  if (isDay && !Number.isNaN(at.getTime())) return at.toISOString();
  throw new InvalidArgumentError('It must be a time with its zone, as 2026-11-01T12:00:00Z, or a day, as 2026-11-01.');
}

/** `--data-dir`, or TRUNKLINE_DATA_DIR. */
export const dataDirOption = (description: string): Option =>
  new Option('--data-dir <folder>', description).env('TRUNKLINE_DATA_DIR');
