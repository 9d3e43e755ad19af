// Places within a state, as text and as patterns: `totals.net`, `items[3].price`, `rates["EUR"]`.

import { invalid } from '../base/checks.ts';
import { parseJson } from '../base/foreign-file.ts';

/** A name within its owner; from the place itself up to the state. Made for each thing looked at, so text is made later. */
export interface Place {
  readonly within: Place | undefined;
  readonly name: string;
  readonly isIndex: boolean;
}

const plainName = /^[\p{L}_$][\p{L}\p{N}_$]*$/u;

/** Names from the state down. */
function namesOf(place: Place | undefined): string[] {
  const names: string[] = [];
  for (let at = place; at !== undefined; at = at.within) names.push(at.name);
  return names.reverse();
}

/** '' for the state itself. */
export function pathOf(place: Place | undefined): string {
  const steps: string[] = [];
  for (let at = place; at !== undefined; at = at.within) {
    if (at.isIndex) steps.push(`[${at.name}]`);
    else if (plainName.test(at.name)) steps.push(at.within === undefined ? at.name : `.${at.name}`);
    else steps.push(`[${JSON.stringify(at.name)}]`);
  }
  return steps.reverse().join('');
}

/** Which places of which aggregate types are left out of a comparison. */
export class IgnoredPlaces {
  private readonly patterns: readonly { readonly type: string; readonly names: readonly string[] }[];

  /**
   * `type:path`, or a path of any type; `*` stands for any type, or any one name. `types`: by each name that a type has had, the
   * one that it is asked by.
   * @throws InvalidOptions
   */
  constructor(patterns: readonly string[], types: ReadonlyMap<string, string>) {
    if (!Array.isArray(patterns)) invalid('ignore', patterns, 'must be a list of patterns, as order:totals.net');
    this.patterns = patterns.map((pattern: unknown) => {
      const parsed = typeof pattern === 'string' ? parse(pattern, types) : undefined;
      return parsed ?? invalid('ignore', pattern, 'must be a path, or type:path with a type that both sides have');
    });
  }

  /** A pattern covers the place that it names, and what is within it. */
  has(type: string, place: Place | undefined): boolean {
    if (this.patterns.length === 0) return false;
    const names = namesOf(place);
    return this.patterns.some(
      (pattern) =>
        (pattern.type === '*' || pattern.type === type) &&
        pattern.names.length <= names.length &&
        pattern.names.every((name, i) => name === '*' || name === names[i]),
    );
  }
}

const steps = /\.?([^.[\]"]+)|\[("(?:[^"\\]|\\.)*")\]|\[([^\]"]+)\]/y;

function parse(pattern: string, types: ReadonlyMap<string, string>): { type: string; names: string[] } | undefined {
  const type = ['*', ...types.keys()]
    .filter((name) => pattern.startsWith(`${name}:`))
    .sort((a, b) => b.length - a.length)[0];
  const path = type === undefined ? pattern : pattern.slice(type.length + 1);
  if (type === undefined && pattern.includes(':')) return undefined; // a type that is not there would ignore nothing, in silence
  const names: string[] = [];
  let end = 0;
  for (steps.lastIndex = 0; end < path.length; end = steps.lastIndex) {
    const step = steps.exec(path);
    if (step === null) return undefined;
    const [, plain, quoted, index] = step;
    const name = quoted === undefined ? (plain ?? index) : parseJson(quoted);
    if (typeof name !== 'string') return undefined;
    names.push(name);
  }
  return names.length === 0 ? undefined : { type: types.get(type ?? '*') ?? '*', names };
}
