// Errors that say that a store serves no client now.
import { isError } from './errors.ts';

/** The store serves no client now; it may again, without anything being changed here (a standby becomes the primary). */
export const isStoreAway = (error: unknown): boolean =>
  isError(error, 'StoreUnavailable') || isError(error, 'StoreTooSlow') || isError(error, 'StoreUnsuitable');
