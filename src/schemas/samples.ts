// Values that are surely valid by a JSON Schema, for functions that must take each of them: the same ones each time, at the
// bounds of what is valid rather than in its middle, and not many.

import { own } from '../base/own.ts';
import { type Branch, type Fields, type Node, namedIn, SchemaDocument } from './document.ts';
import {
  atLeast,
  atMost,
  itemsOf,
  type Kind,
  keywordNodes,
  kindsOf,
  lowerBound,
  numbersOf,
  prefixLength,
  propertyNames,
  propertyOf,
  requiredOf,
  upperBound,
  valuesOf,
} from './facets.ts';
import { textsOfFormat } from './formats.ts';
import { textFor } from './pattern-text.ts';
import { isValid } from './valid.ts';

/** Of a whole payload, and of one value within it. */
const samplesMost = 50;
const partsMost = 12;
/** Deeper, what need not be there is left out; and what must be there has no sample, since a schema may refer to itself. */
const optionalDepth = 2;
const depthMost = 8;
const lengthMost = 300;
/** How many values of one kind differ from the whole one in one place. */
const changesMost = (depth: number): number => (depth === 0 ? 2 * samplesMost : partsMost);
/** A pattern of the user's may take a time that grows exponentially with a text that it does not take. */
const matchedLengthMost = 20;
/** A schema that refers to itself in many places has no end of parts. */
const stepsMost = 3000;
const itemsMost = 4;

/** `most`: the first so many of them. */
export function samplesOf(schema: Node, most: number = samplesMost): unknown[] {
  const document = new SchemaDocument(schema);
  const found = new Samples(document).of([schema], 0, samplesMost * 4);
  const samples: unknown[] = [];
  for (const value of found) {
    if (samples.length === most) break;
    if (isValid(value, schema, document) === true) samples.push(value);
  }
  return samples;
}

class Samples {
  private readonly document: SchemaDocument;
  private steps = 0;

  constructor(document: SchemaDocument) {
    this.document = document;
  }

  of(nodes: readonly Node[], depth: number, most: number): unknown[] {
    if (depth > depthMost || ++this.steps > stepsMost) return [];
    const { branches } = this.document.branches(nodes);
    const each = Math.ceil(most / branches.length) + 2;
    return distinct(alternating(branches.map((branch) => this.ofBranch(branch, depth, each)))).slice(0, most);
  }

  private ofBranch(branch: Branch, depth: number, most: number): unknown[] {
    const values = valuesOf(branch) ?? alternating(kindsOf(branch).map((kind) => this.ofKind(kind, branch, depth)));
    const found: unknown[] = [];
    for (const value of values) {
      if (branch.every((one) => isValid(value, one, this.document) !== false)) found.push(value);
      if (found.length === most) break;
    }
    return found;
  }

  private ofKind(kind: Kind, branch: Branch, depth: number): unknown[] {
    if (kind === 'null') return [null];
    if (kind === 'boolean') return [false, true];
    if (kind === 'string') return texts(branch);
    if (kind === 'array') return this.lists(branch, depth);
    return kind === 'object' ? this.objects(branch, depth) : numbers(branch, kind);
  }

  private lists(branch: Branch, depth: number): unknown[][] {
    const places = prefixLength(branch);
    const least = atLeast(branch, 'minItems', 0);
    const wanted = depth >= optionalDepth ? least : Math.max(itemsMost, least, places);
    const most = Math.min(atMost(branch, 'maxItems'), wanted);
    if (least > lengthMost || places > lengthMost) return [];
    const behind = most > places ? this.of(itemsOf(branch, undefined), depth + 1, partsMost) : [];
    const byPlace = Array.from({ length: most }, (_, i) =>
      i < places ? this.of(itemsOf(branch, i), depth + 1, partsMost) : behind,
    );
    // A place that nothing can stand in ends the list.
    const end = byPlace.findIndex((one) => one.length === 0);
    const longest = end < 0 ? most : end;
    const lengths = [1, least, places, longest, 0].filter((length) => length >= least && length <= longest);
    const plain = [...new Set(lengths)].map((length) =>
      byPlace.slice(0, length).map((found, i) => found[i % found.length]),
    );
    const whole = byPlace.slice(0, Math.max(least, places, Math.min(1, longest))).map((found) => found[0]);
    const varied = whole.flatMap((_, i) => byPlace[i]!.slice(1).map((value) => whole.with(i, value)));
    return end >= 0 && end < least ? [] : [...plain, ...varied.slice(0, changesMost(depth))];
  }

  private objects(branch: Branch, depth: number): object[] {
    const required = new Set(requiredOf(branch));
    const parts = new Map<string, unknown[]>();
    for (const name of propertyNames(branch)) {
      if (depth >= optionalDepth && !required.has(name)) continue;
      const found = this.of(propertyOf(branch, name), depth + 1, partsMost);
      if (found.length > 0) parts.set(name, found);
      else if (required.has(name)) return [];
    }
    const whole = new Map([...parts].map(([name, found]) => [name, found[0]] as const));
    const without = (left: (name: string) => boolean): object =>
      Object.fromEntries([...whole].filter(([name]) => !left(name)));
    const varied = alternating(
      [...parts].map(([name, found]) => found.slice(1).map((value) => [name, value] as const)),
    );
    const optional = [...whole.keys()].filter((name) => !required.has(name));
    return [
      Object.fromEntries(whole),
      without((name) => !required.has(name)),
      ...optional.slice(0, changesMost(depth)).map((gone) => without((name) => name === gone)),
      ...varied.slice(0, changesMost(depth)).map(([name, value]) => Object.fromEntries([...whole, [name, value]])),
      ...this.others(branch, depth).map((other) => Object.fromEntries([...whole, other])),
    ];
  }

  /** A property that has no name of its own in the schema, where such ones have a schema: a record's. */
  private others(branch: Branch, depth: number): [name: string, value: unknown][] {
    if (depth >= optionalDepth) return [];
    const byPattern = branch.flatMap((one) => namedIn(one, 'patternProperties').map(([pattern]) => textFor(pattern)));
    const isRecord = keywordNodes(branch, 'additionalProperties').some((node) => typeof node === 'object');
    const words = isRecord ? this.of([{ type: 'string' }, ...keywordNodes(branch, 'propertyNames')], depth + 1, 3) : [];
    const names = [...byPattern, ...words].filter((name) => typeof name === 'string');
    return names.flatMap((name) =>
      this.of(propertyOf(branch, name), depth + 1, 3).map((value): [string, unknown] => [name, value]),
    );
  }
}

function numbers(branch: Branch, kind: 'integer' | 'fraction'): number[] {
  const isWhole = kind === 'integer';
  const [low, high] = [lowerBound(branch, isWhole).value, upperBound(branch, isWhole).value];
  const [factor = 1] = numbersOf(branch, 'multipleOf');
  const near = [1, 0, -1, low, high, factor, low + factor, high - factor, Math.ceil(low / factor) * factor, 1e6];
  const fractions = [0.5, -0.5, low + 0.5, high - 0.5, (low + high) / 2, 0.1, 1e-7];
  const found = isWhole ? near : [...fractions, ...near];
  return found
    .filter((value) => Number.isFinite(value) && Number.isInteger(value) === isWhole)
    .map((value) => value + 0);
}

function texts(branch: Branch): string[] {
  const longest = branch.some((one) => own(one, 'pattern') !== undefined) ? matchedLengthMost : lengthMost;
  const [least, most] = [atLeast(branch, 'minLength', 0), Math.min(atMost(branch, 'maxLength'), longest)];
  const ofFormats = branch.flatMap((one) => textsOfFormat(own(one, 'format')));
  const ofPatterns = branch.flatMap((one: Fields) => textFor(own(one, 'pattern')) ?? []);
  const lengths = [Math.max(least, Math.min(1, most)), least, most].filter(
    (length) => length >= least && length <= most,
  );
  const plain = [...new Set(lengths)].map((length) => 'a'.repeat(length));
  return [...ofFormats, ...ofPatterns, ...plain, '1', 'Ada Lovelace', 'é€😀 "\\', ' '];
}

/** The first of each, then the second of each: so that a bound on all of them leaves something of each. */
function alternating<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => (i < list.length ? [list[i]!] : []))).flat();
}

function distinct(values: readonly unknown[]): unknown[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}
