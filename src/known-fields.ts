// Option objects: one that is none, or that has a field nobody knows, is refused at the edge. A misspelt field would
// otherwise be ignored in silence; what was probably meant is suggested.
import { TrunklineError } from './errors.ts';

/** The names of an options type, complete by its type: a field that is added there and not here does not compile. */
export function fieldsOf<Options>(fields: Record<keyof Options, true>): readonly string[] {
  return Object.keys(fields);
}

/** What is given: a field that is `undefined` counts as left out, so that it does not hide a default in a spread. */
export function given<Options extends object>(options: Options | undefined): Partial<Options> {
  return Object.fromEntries(
    Object.entries(options ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<Options>;
}

/** Refuse what is no object, and fields that nobody knows. `option`: what it is called, as `flush`; '' at the top. */
export function checkFields(option: string, given: unknown, known: readonly string[]): void {
  const refuse = (field: string, reason: string): never => {
    throw new TrunklineError('InvalidOptions', { option: field, reason });
  };
  let unknown: ReturnType<typeof unknownField>;
  try {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      return refuse(
        option || 'options',
        `must be an object, and is ${given === null ? 'null' : Array.isArray(given) ? 'a list' : typeof given}`,
      );
    }
    unknown = unknownField(given, known);
  } catch (error) {
    if (error instanceof TrunklineError) throw error;
    return refuse(option || 'options', 'cannot be read'); // a revoked proxy, say
  }
  // Its value is not told: it may be a secret under a misspelt name.
  if (unknown === undefined) return;
  refuse(option === '' ? unknown.field : `${option}.${unknown.field}`, unknown.reason);
}

/** The first field that nobody knows, and what to say about it. */
export function unknownField(given: object, known: readonly string[]): { field: string; reason: string } | undefined {
  const field = Object.keys(given).find((key) => !known.includes(key));
  if (field === undefined) return undefined;
  const meant = nearest(field, known);
  const suggestion = meant === undefined ? '' : `; did you mean '${meant}'?`;
  return { field, reason: `is unknown${suggestion} (known: ${known.join(', ')})` };
}

/** The known name that a misspelt one is nearest to; undefined if none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const edits = editsBetween(name.toLowerCase(), candidate.toLowerCase());
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

/** How many letters must be put in, left out or exchanged to make one name of the other. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(exchanged, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
