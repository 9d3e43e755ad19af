// Places within a state, as text and as patterns: `totals.net`, `items[3].price`, `rates["EUR"]`.

import { invalid } from '../../base/checks.ts';
import { parseJson } from '../../base/foreign-file.ts';
import { tame } from '../../base/tame.ts';
import { listed } from './pairs.ts';

/** A name within its owner; from the place itself up to the state. Made for each thing looked at, so text is made later. */
export interface Place {
  readonly within: Place | undefined;
  readonly name: string;
  readonly isIndex: boolean;
}

const plainName = /^[\p{L}_$][\p{L}\p{N}_$]*$/u;

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

interface Pattern {
  /** As it was given. */
  readonly text: string;
  readonly type: string;
  readonly names: readonly string[];
  /** A difference lies in a place that it covers. */
  isUsed: boolean;
}

/**
 * What the patterns of one aggregate type have to say of a place and of all within it. Two places that share one are judged
 * alike, whatever stands there: a part that is used in two places is compared once for each.
 */
export class Coverage {
  /** A pattern covers the place that it names, and what is within it. */
  readonly isIgnored: boolean;
  private readonly depth: number;
  /** Patterns that have matched so far. */
  private readonly live: readonly Pattern[];
  private readonly known: Map<string, Coverage>;
  private readonly numbers: ReadonlyMap<Pattern, number>;

  constructor(
    live: readonly Pattern[],
    depth = 0,
    known: Map<string, Coverage> = new Map(),
    numbers: ReadonlyMap<Pattern, number> = new Map(live.map((one, i) => [one, i])),
  ) {
    this.live = live;
    this.depth = depth;
    this.known = known;
    this.numbers = numbers;
    this.isIgnored = live.some(({ names }) => names.length === depth);
  }

  /** A difference lies here, or within, that is ignored. */
  use(): void {
    for (const pattern of this.live) if (pattern.names.length === this.depth) pattern.isUsed = true;
  }

  /** Of the place of that name within. */
  at(name: string): Coverage {
    const { live, depth, known, numbers } = this;
    if (this.isIgnored || live.length === 0) return this;
    const left = live.filter(({ names }) => names[depth] === '*' || names[depth] === name);
    const key = left.length === 0 ? '' : `${depth + 1}:${left.map((one) => numbers.get(one)).join()}`;
    let found = known.get(key);
    if (found === undefined) {
      found = new Coverage(left, depth + 1, known, numbers);
      known.set(key, found);
    }
    return found;
  }
}

/** Which places of which aggregate types are left out of a comparison. */
export class IgnoredPlaces {
  private readonly patterns: readonly Pattern[];

  /**
   * `type:path`, or a path of any type; `*` stands for any type, or any one name. `types`: by each name that a type has had, the
   * one that it is asked by.
   * @throws InvalidOptions
   */
  constructor(patterns: readonly string[], types: ReadonlyMap<string, string>) {
    if (!Array.isArray(patterns)) invalid('ignore', patterns, 'must be a list of patterns, as order:totals.net');
    this.patterns = patterns.map((pattern: unknown) => {
      if (typeof pattern !== 'string') return invalid('ignore', pattern, 'must be text');
      const known = listed([...types.keys()]);
      const reason = `'${tame(pattern, 80)}' is no path, and no type:path of a type that both sides have; these are ${known}`;
      return parse(pattern, types) ?? invalid('ignore', undefined, reason);
    });
  }

  /** Patterns that have covered no difference so far. */
  get unused(): string[] {
    return this.patterns.filter(({ isUsed }) => !isUsed).map(({ text }) => text);
  }

  /** Of the state of an aggregate of that type. */
  of(type: string): Coverage {
    return new Coverage(this.patterns.filter((pattern) => pattern.type === '*' || pattern.type === type));
  }
}

const steps = /\.?([^.[\]"]+)|\[("(?:[^"\\]|\\.)*")\]|\[([^\]"]+)\]/y;

function parse(pattern: string, types: ReadonlyMap<string, string>): Pattern | undefined {
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
  return names.length === 0 ? undefined : { text: pattern, type: types.get(type ?? '*') ?? '*', names, isUsed: false };
}
