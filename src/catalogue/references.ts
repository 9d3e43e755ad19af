// A JSON Schema that becomes a part of a larger document: its references lead to where it stands there.

import { type Fields, isFields } from '../schemas/document.ts';

/** Keywords whose value has names of the user's, each with a schema. */
const byName: ReadonlySet<string> = new Set([
  ...['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'],
]);
/** Keywords whose value is the user's. */
const values: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);

/**
 * `place`: of the schema in the document, as `#/components/schemas/x`. undefined: it cannot stand there, because a reference leads
 * out of it, or because `$ref` is a name or a value of the user's in it, which readers of a document take for a reference.
 */
export function relocated(schema: Fields, place: string): Fields | undefined {
  let isMovable = true;
  const named = (value: Fields): Fields => {
    if (Object.hasOwn(value, '$ref')) isMovable = false;
    return mapped(value, (_, one) => moved(one));
  };
  const moved = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(moved);
    return isFields(node) ? mapped(node, movedKeyword) : node;
  };
  const movedKeyword = (keyword: string, value: unknown): unknown => {
    if (keyword === '$ref') {
      if (typeof value === 'string' && /^#(?:\/|$)/.test(value)) return place + value.slice(1);
      isMovable = false;
    }
    if (values.has(keyword)) {
      if (JSON.stringify(value).includes('"$ref":')) isMovable = false;
      return value;
    }
    return byName.has(keyword) && isFields(value) ? named(value) : moved(value);
  };
  const made = moved(schema) as Fields;
  return isMovable ? made : undefined;
}

const mapped = (fields: Fields, made: (key: string, value: unknown) => unknown): Fields =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, made(key, value)]));
