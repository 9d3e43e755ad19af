// Refuses a Node.js that is too old, by its name, before anything else of the package is evaluated: imported first by its
// entries. So no file may name what an older Node.js lacks in a static import (it would fail before any code has run); held by
// test/package/node-version.test.ts.
import { TrunklineError } from './errors.ts';

/** As `engines` in package.json says. */
export const nodeNeeded = 24;

/** @throws NodeTooOld */
export function checkNode(version: string): void {
  if (Number.parseInt(version, 10) >= nodeNeeded) return;
  throw new TrunklineError('NodeTooOld', { found: version, needed: nodeNeeded });
}

checkNode(process.versions.node);
