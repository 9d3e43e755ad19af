// How deep JSON may be nested, and how deep a text is: counted without parsing it, which would use the stack. Any thread.

/** Deeper than any document a person writes; far below the stack's limit, here and in a database. */
export const DEPTH_LIMIT = 200;

/** How many objects and lists of a JSON text lie within each other; 0 for a scalar. */
export function depthOf(json: string): number {
  const bytes = Buffer.from(json);
  return depthIn(bytes, 0, bytes.length);
}

/** The same of UTF-8 bytes, `end` excluded: of rows that are read without being decoded. */
export function depthIn(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  let most = 0;
  for (let i = start; i < end; i++) {
    switch (bytes[i]) {
      case 0x22: // "
        for (i++; i < end && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > most) most = depth;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
  }
  return most;
}
