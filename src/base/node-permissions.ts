// Flags of Node.js under which no runtime can work: said by name at the start, not by what happens to fail first. See
// docs/security/hardening.md. Host thread.
import { TrunklineError } from './errors.ts';

/** @throws NodeForbids: the permission model, which takes `fsync` away, and with it every promise that survives a power loss */
export function checkPermissions(): void {
  if (!('permission' in process) || process.permission === undefined) return;
  throw new TrunklineError('NodeForbids', { flag: '--permission', what: 'fsync' });
}

/** What loading LMDB has failed by: its library makes a function of text. */
export function asForbidden(error: unknown): unknown {
  if (!(error instanceof EvalError)) return error;
  const what = 'functions made of text, of which the library of LMDB makes one';
  return new TrunklineError('NodeForbids', { flag: '--disallow-code-generation-from-strings', what }, { cause: error });
}
