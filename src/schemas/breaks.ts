// Where one schema takes less than another, and what the parts of the comparison need of each other.

import type { Node, SchemaDocument } from './document.ts';

/** Where a value that one schema takes is refused by the other, or may be. */
export interface Break {
  /** In the payload: `$.lines[*].price`. */
  readonly path: string;
  /** Begins with `cannot tell` where it is not sure that there is such a value. */
  readonly reason: string;
}

/** Two documents that are compared. */
export interface Comparing {
  readonly from: SchemaDocument;
  readonly to: SchemaDocument;
  /** What all of `from` take together, and `to` does not. `depth`: how deep in the payload. */
  compare(from: readonly Node[], to: Node, at: Place): Break[];
}

export interface Place {
  readonly path: string;
  readonly depth: number;
}

export const cannotTell = ({ path }: Place, reason: string): Break[] => [
  { path, reason: reason.startsWith('cannot tell') ? reason : `cannot tell: ${reason}` },
];

/** The property of that name; as JSONPath writes it. */
export function propertyAt({ path, depth }: Place, name: string): Place {
  const step = /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
  return { path: path + step, depth: depth + 1 };
}

/** An item of a list, `*`: each one. */
export const itemAt = ({ path, depth }: Place, index: number | '*'): Place => ({
  path: `${path}[${index}]`,
  depth: depth + 1,
});

/** Properties that have no schema of their own. */
export const othersAt = ({ path, depth }: Place): Place => ({ path: `${path}.*`, depth: depth + 1 });
