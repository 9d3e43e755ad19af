// A JSON Schema as a document that may refer to itself: its nodes, what a `$ref` leads to, and the branches of a node. Written
// by others (validators, hands in a lock file), so what a keyword holds is looked at before it is used.

import { own } from '../base/own.ts';

export type Fields = Readonly<Record<string, unknown>>;
/** A schema within a document. */
export type Node = boolean | Fields;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNode = (value: unknown): value is Node => typeof value === 'boolean' || isFields(value);

/** The schema that a keyword holds; undefined: it is not there, or holds something else. */
export function nodeIn(fields: Fields, keyword: string): Node | undefined {
  const value = own(fields, keyword);
  return isNode(value) ? value : undefined;
}

/** The schemas that a keyword lists. */
export function nodesIn(fields: Fields, keyword: string): readonly Node[] {
  const value = own(fields, keyword);
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The schemas that a keyword has by name. */
export function namedIn(fields: Fields, keyword: string): readonly (readonly [name: string, node: Node])[] {
  const value = own(fields, keyword);
  return isFields(value) ? Object.entries(value).filter((one): one is [string, Node] => isNode(one[1])) : [];
}

/** More alternatives than these, multiplied out, are not looked at one by one. */
const branchesMost = 256;
/** Nor are more nodes visited. */
const stepsMost = 5000;

interface Walk {
  /** Why something was left out, the first time. */
  leftOut: string | undefined;
  steps: number;
}

/** What all of these schemas demand at once. Without `$ref`, `allOf`, `anyOf` and `oneOf`, which are resolved. */
export type Branch = readonly Fields[];

interface Branches {
  readonly branches: readonly Branch[];
  readonly leftOut: string | undefined;
}

export class SchemaDocument {
  readonly root: Node;
  /** Of before 2019-09: what stands beside a `$ref` counts for nothing. */
  readonly isOld: boolean;
  private readonly known = new Map<Node, Branches>();

  constructor(root: Node) {
    this.root = root;
    const dialect = isFields(root) ? own(root, '$schema') : undefined;
    this.isOld = typeof dialect === 'string' && /draft-0[3-7]/.test(dialect);
  }

  /** Where a `$ref` leads; undefined: out of the document, or by a way that is not known here. */
  target(ref: unknown): Node | undefined {
    if (typeof ref !== 'string' || !/^#(?:\/|$)/.test(ref)) return undefined;
    let at: unknown = this.root;
    for (const step of ref.split('/').slice(1)) {
      const key = decoded(step);
      at = Array.isArray(at) ? at[Number(key)] : isFields(at) && key !== undefined ? own(at, key) : undefined;
      if (isFields(at) && own(at, '$id') !== undefined) return undefined; // a document of its own
    }
    return isNode(at) ? at : undefined;
  }

  /**
   * The alternatives of what all of these schemas demand at once: what is valid by them is valid by one of these branches.
   * `leftOut`: why they may allow more than the schemas do; undefined: they do not.
   */
  branches(nodes: readonly Node[]): Branches {
    const [only, ...others] = nodes;
    const known = others.length === 0 ? this.known.get(only!) : undefined;
    if (known !== undefined) return known;
    const walk: Walk = { leftOut: undefined, steps: 0 };
    const branches = this.product(nodes, [], walk);
    const found = { branches, leftOut: walk.leftOut };
    if (nodes.length === 1) this.known.set(only!, found);
    return found;
  }

  private product(nodes: readonly Node[], refs: readonly unknown[], walk: Walk): readonly Branch[] {
    let all: readonly Branch[] = [[]];
    for (const node of nodes) all = joined(all, this.alternatives(node, refs, walk), walk);
    return all;
  }

  private alternatives(node: Node, refs: readonly unknown[], walk: Walk): readonly Branch[] {
    if (typeof node === 'boolean') return node ? [[]] : [];
    if (++walk.steps > stepsMost) {
      walk.leftOut ??= `the comparison ended at its bound of ${stepsMost} schemas within one`;
      return [[]];
    }
    const ref = own(node, '$ref');
    let all: readonly Branch[] = [[]];
    if (ref !== undefined) {
      const target = refs.includes(ref) ? undefined : this.target(ref);
      if (target === undefined) walk.leftOut ??= 'a $ref leads out of the schema, or to itself';
      else all = this.product([target], [...refs, ref], walk);
      if (this.isOld) return all;
    }
    const isReference = Object.keys(node).every((keyword) => keyword === '$ref' || isAnnotation(keyword));
    if (ref !== undefined && isReference) return all; // one schema, however many refer to it
    const parts: (readonly Branch[])[] = [[[node]], this.product(nodesIn(node, 'allOf'), refs, walk)];
    for (const keyword of ['anyOf', 'oneOf']) {
      if (own(node, keyword) === undefined) continue;
      parts.push(nodesIn(node, keyword).flatMap((one) => this.alternatives(one, refs, walk)));
    }
    for (const part of parts) all = joined(all, part, walk);
    return all;
  }
}

/** Each of these with each of those; with too many of those, without them. */
function joined(these: readonly Branch[], those: readonly Branch[], walk: Walk): readonly Branch[] {
  if (these.length * those.length > branchesMost) {
    walk.leftOut ??= `the comparison ended at its bound of ${branchesMost} alternatives`;
    return these;
  }
  return these.flatMap((one) => those.map((other) => [...new Set([...one, ...other])]));
}

function decoded(step: string): string | undefined {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return undefined; // no escape that there is
  }
}

/** Keywords that describe and demand nothing. */
const annotations: ReadonlySet<string> = new Set([
  ...[
    '$schema',
    '$id',
    '$comment',
    'title',
    'description',
    'default',
    'examples',
    'deprecated',
    'readOnly',
    'writeOnly',
  ],
]);
/** Also those of vendors, as OpenAPI names them. */
export const isAnnotation = (keyword: string): boolean => annotations.has(keyword) || keyword.startsWith('x-');
/** Keywords whose value is a schema, or a list of them. */
const schemas: ReadonlySet<string> = new Set([
  ...['items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'contains', 'allOf', 'anyOf', 'oneOf', 'not'],
  ...['additionalProperties', 'unevaluatedProperties', 'propertyNames', 'if', 'then', 'else', 'contentSchema'],
]);
/** Keywords whose value has schemas by names of the user's. */
const byName: ReadonlySet<string> = new Set([
  ...['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'],
]);
/** The same text for schemas that differ in their annotations, or in the order of keywords and required names alone. */
export function canonical(schema: unknown): string {
  return JSON.stringify(demands(schema));
}

function demands(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(demands);
  if (!isFields(schema)) return schema;
  return entriesOf(schema, (keyword, value) => {
    if (isAnnotation(keyword)) return undefined;
    if (schemas.has(keyword)) return demands(value);
    if (byName.has(keyword) && isFields(value)) return entriesOf(value, (_, one) => demands(one));
    // All others have values, and names that may be those of keywords.
    return keyword === 'required' && Array.isArray(value) ? [...value].sort() : sortedKeys(value);
  });
}

/** JSON with the keys of all objects sorted: the same text on every machine. */
export function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  return isFields(value) ? entriesOf(value, (_, one) => sortedKeys(one)) : value;
}

function entriesOf(fields: Fields, made: (key: string, value: unknown) => unknown): Fields {
  const entries = Object.entries(fields).map(([key, value]) => [key, made(key, value)] as const);
  const kept = entries.filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}
