// What a side has failed with, as one reads it.

import { TrunklineError } from '../../base/errors.ts';
import { tame } from '../../base/tame.ts';

/** Why one side has no state, or a command no outcome. */
export interface RehearsalFailure {
  /** The error's code, or its name: `UpcastFailed`, `TypeError`. */
  readonly code: string;
  readonly message: string;
}

export function failureOf(error: unknown): RehearsalFailure {
  if (error instanceof TrunklineError) return { code: error.code, message: tame(error) };
  return { code: nameOf(error), message: tame(error) };
}

function nameOf(error: unknown): string {
  try {
    return error instanceof Error ? tame(error.name, 80) : typeof error;
  } catch {
    return 'Error';
  }
}
