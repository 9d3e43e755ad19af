// A store that did not end in order, or is not the file that did, is examined before it is opened.

import { examine } from '../../../base/examine.ts';
import { parseFields } from '../../../base/foreign-file.ts';
import { fits } from '../../../base/json.ts';
import { ownFile } from '../../../base/own-file.ts';
import { fromWire, wireError } from '../../../base/wire-error.ts';
import { damaged } from './environment.ts';

/** Resolves if the store can be opened. Throws `StoreDamaged`, or what else the examination found. */
export async function probe(folder: string): Promise<void> {
  const failed = await examine(ownFile('./examination', import.meta.url), folder);
  if (!failed) return;
  const said = parseFields(failed.said); // it may have been killed in the middle of a word
  if (fits(said, wireError)) throw fromWire(said);
  throw damaged(folder, `it cannot be read: examining it ended with ${failed.how}`, failed.cause);
}
