// Where a JSON Schema lets objects have fields that it does not name. Validators differ: zod closes objects in what it tells,
// others leave them open though they strip such fields.

import { itemAt, type Place, propertyAt } from './breaks.ts';
import { canonical, type Node, SchemaDocument } from './document.ts';
import { isClosed, itemsOf, keywordNodes, kindsOf, prefixLength, propertyNames, propertyOf } from './facets.ts';

/** Deeper ones are open or closed as those around them are. */
const depthMost = 6;
const placesMost = 20;

const takesAll = (node: Node): boolean => node === true || canonical(node) === '{}';

/** Paths of such objects, `$` first. A record, whose fields have no names of their own, is meant to be open. */
export function openObjects(schema: Node): string[] {
  const document = new SchemaDocument(schema);
  const found = new Set<string>();
  const visit = (nodes: readonly Node[], at: Place): void => {
    if (at.depth > depthMost || found.size >= placesMost) return;
    for (const branch of document.branches(nodes).branches) {
      const names = propertyNames(branch);
      const kinds = kindsOf(branch);
      const isNamed = names.length > 0 && keywordNodes(branch, 'additionalProperties').every(takesAll);
      if (kinds.includes('object') && isNamed && !isClosed(branch)) found.add(at.path);
      for (const name of names) visit(propertyOf(branch, name), propertyAt(at, name));
      if (!kinds.includes('array')) continue;
      for (let i = 0; i < prefixLength(branch); i++) visit(itemsOf(branch, i), itemAt(at, i));
      const items = itemsOf(branch, undefined);
      if (items.length > 0) visit(items, itemAt(at, '*'));
    }
  };
  visit([schema], { path: '$', depth: 0 });
  return [...found].slice(0, placesMost);
}
