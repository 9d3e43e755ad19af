// One stored payload for two reducers: each gets a value of its own, so that neither sees what the other changes in place. It is
// parsed once, and copied before the first one sees it: a copy costs about an eighth of a second parse.

import { userJson } from '../base/json.ts';
import type { Payloads } from '../shard/evolve.ts';
import type { FrameReader } from '../wire/frame.ts';

/** What is nested deeper is parsed again: a copy of it could end the stack. */
const copiedDepth = 32;

export class PayloadForTwo implements Payloads {
  private isTaken = false;
  /** For the second reader; undefined, which no JSON is: it parses for itself. */
  private spare: unknown;

  /** The next event begins: both read its payload, or one, or none. */
  begin(): void {
    this.isTaken = false;
    this.spare = undefined;
  }

  of(frame: FrameReader): unknown {
    const { spare } = this;
    if (this.isTaken && spare !== undefined) return spare;
    const data: unknown = userJson(frame.dataJson);
    if (!this.isTaken) this.spare = copyOfJson(data, copiedDepth);
    this.isTaken = true;
    return data;
  }
}

/** Of what JSON.parse() has made; undefined: it is nested deeper than `depth`. */
export function copyOfJson(value: unknown, depth: number): unknown {
  if (!isObject(value)) return value;
  if (depth === 0) return undefined;
  return Array.isArray(value) ? copyOfList(value, depth) : copyOfObject(value, depth);
}

function copyOfList(list: readonly unknown[], depth: number): unknown[] | undefined {
  const copy: unknown[] = [];
  for (const item of list) {
    const own = isObject(item) ? copyOfJson(item, depth - 1) : item;
    if (own === undefined) return undefined;
    copy.push(own);
  }
  return copy;
}

// `for … in` and a spread: V8 has both at hand for an object as JSON.parse() makes it, and its keys as a list it has not.
function copyOfObject(object: object, depth: number): object | undefined {
  const copy: Record<string, unknown> = { ...object };
  for (const key in object) {
    const part = copy[key];
    if (!isObject(part) || !Object.hasOwn(copy, key)) continue;
    const own = copyOfJson(part, depth - 1);
    if (own === undefined) return undefined;
    copy[key] = own; // also of a field named `__proto__`: it is one of the copy's own by now
  }
  return copy;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
