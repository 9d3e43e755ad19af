// What a flusher says of itself, and which errors of a sink end it. The contract of sinks: ../log/sink.ts.

import type { ErrorCode } from '../base/error-details.ts';
import { isError, TrunklineError } from '../base/errors.ts';

export type FlusherState = 'opening' | 'running' | 'retrying' | 'failed' | 'stopped';

/** How far one sink has come. */
export interface FlusherStatus {
  state: FlusherState;
  /** Its checkpoint; 0 while it is not open. */
  position: number;
  /** Synced positions that it does not hold yet. */
  lag: number;
  lastError: Error | undefined;
}

const fatalCodes: readonly ErrorCode[] = [
  'StoreDamaged',
  'StoreFailed',
  'LogDamaged',
  'DataDirNewerFormat',
  'DataDirUnreadable',
  'DataDirNotWritable',
  'VersionOutOfOrder',
  'PositionGone',
  'LogFenced',
  'InvalidOptions',
  'StreamFenced',
  'CheckpointMissing',
  'CheckpointInvalid',
  'SchemaRefused',
];

/** The position of the one event that an error of a sink refuses; undefined if it is about something else. */
export function refusedBy(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('refuses' in error)) return undefined;
  return Number.isSafeInteger(error.refuses) ? (error.refuses as number) : undefined;
}

/** Errors that no repetition can cure: the sink stops. A user's sink marks its own by a property `fatal: true`. */
export function isFatal(error: unknown): boolean {
  if (error instanceof TrunklineError) return fatalCodes.some((code) => isError(error, code));
  return typeof error === 'object' && error !== null && (error as { fatal?: unknown }).fatal === true;
}
