// Names of handlers: what they keep lies under these.
import { invalid, nameFault } from '../base/checks.ts';

/** Names of the subscriptions that fold projections' rows begin with it. */
export const PROJECTION_PREFIX = 'projection:';

const HANDLER_NAME_BYTES_LIMIT = 100; // as the column handler_name takes

/** @throws InvalidOptions */
export function checkHandlerName(name: string, option: string = 'name'): void {
  const fault = nameFault(name, HANDLER_NAME_BYTES_LIMIT);
  if (fault !== undefined) invalid(option, name, fault);
}
