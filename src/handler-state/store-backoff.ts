// Waiting for a store that is unavailable: what reads it asks again, less and less often, until it is repaired.
import { backoffMs } from '../base/backoff.ts';
import { isError } from '../base/errors.ts';
import { isStoreAway } from '../base/store-away.ts';

const pauses = { minMs: 100, maxMs: 5_000 };

/** Whether it may be there again, or find room again, without anything being changed here. */
export function mayComeBack(error: unknown): boolean {
  return (
    isStoreAway(error) ||
    isError(error, 'DiskFull') ||
    isError(error, 'StoreAccessDenied') ||
    isError(error, 'StoreSchemaMissing')
  );
}

/** Whether no repetition in this run can cure it. */
export function isFinal(error: unknown): boolean {
  const codes = ['StoreDamaged', 'StoreFailed', 'LogDamaged', 'DataDirNewerFormat', 'StoreBehind'] as const;
  return codes.some((code) => isError(error, code));
}

/** What tries again while the store is unavailable. */
export interface StoreBackoff {
  hasEnded(): boolean;
  /** What holds it up; undefined: nothing any more. */
  trouble(error: unknown): void;
  pause(ms: number): Promise<void>;
}

/** Again and again while the store is unavailable (or what else `isPassing` says may come), or until it ends. */
export async function withStoreBackoff(
  work: () => Promise<void>,
  { hasEnded, trouble, pause }: StoreBackoff,
  isPassing: (error: unknown) => boolean = mayComeBack,
): Promise<void> {
  for (let failures = 1; !hasEnded(); failures++) {
    try {
      await work();
      trouble(undefined);
      return;
    } catch (error) {
      if (!isPassing(error)) throw error;
      trouble(error);
      await pause(storeBackoffMs(failures));
    }
  }
}

/** How long to wait before the next try, milliseconds: for one who counts the tries that failed running. */
export const storeBackoffMs = (failures: number): number => backoffMs(failures, pauses);
