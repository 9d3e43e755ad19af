// Whether two states are the same at the first look, as nearly all are: plain objects and lists with the same fields. It makes
// nothing, so that it costs a tenth of a comparison. In doubt it says no, and the comparison decides (state-diff.ts).

/** A cycle, or a part that is used many times, is left to the comparison; so is what is large. */
const depthMost = 8;
const partsMost = 1_000;

let partsLeft = 0;

/** True: so would the comparison say. */
export function arePlainlySame(old: unknown, now: unknown): boolean {
  partsLeft = partsMost;
  try {
    return isSame(old, now, depthMost);
  } catch {
    return false; // a getter that throws, a revoked proxy
  }
}

function isSame(old: unknown, now: unknown, depth: number): boolean {
  if (typeof old === 'function') return false; // it may be a toJSON() that says something else of each
  if (Object.is(old, now)) return true;
  if (typeof old !== 'object' || typeof now !== 'object' || old === null || now === null) return false;
  if (depth === 0 || --partsLeft < 0) return false;
  const prototype: unknown = Object.getPrototypeOf(old);
  if (Object.getPrototypeOf(now) !== prototype) return false;
  if (prototype === Array.prototype) return areSameLists(old as unknown[], now as unknown[], depth);
  return prototype === Object.prototype && areSameFields(old, now, depth);
}

function areSameLists(old: readonly unknown[], now: readonly unknown[], depth: number): boolean {
  if (old.length !== now.length) return false;
  if ((partsLeft -= old.length) < 0) return false;
  for (let i = 0; i < old.length; i++) if (!isSame(old[i], now[i], depth - 1)) return false;
  return true;
}

function areSameFields(old: object, now: object, depth: number): boolean {
  const names = Object.keys(old);
  if ((partsLeft -= names.length) < 0 || names.length !== Object.keys(now).length) return false;
  for (const name of names) {
    if (!Object.hasOwn(now, name) || !isSame(fieldOf(old, name), fieldOf(now, name), depth - 1)) return false;
  }
  return true;
}

const fieldOf = (object: object, name: string): unknown => (object as Record<string, unknown>)[name];
