// What an error shows of a value that an option cannot take. It may be a secret in the wrong place (a connection string where a
// number belongs, a password under another name), and errors go to logs, consoles and other processes. So a text is shown by
// its length alone, an object by what it is. The type keeps values of users out of `InvalidOptions`. Any thread.

/** A number, boolean or nothing, as it was given; of anything else its kind, and how long it is. */
export type Shown = number | boolean | null | undefined | { readonly type: string; readonly length?: number };

/** What may be shown of a value. Never throws. */
export function shown(value: unknown): Shown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'string':
      return { type: 'text', length: value.length };
    case 'object':
      return value === null ? null : shownObject(value);
    default:
      return { type: typeof value };
  }
}

function shownObject(value: object): Shown {
  try {
    if (Array.isArray(value)) return { type: 'list', length: value.length };
    return { type: value instanceof Date ? 'date' : 'object' };
  } catch {
    return { type: 'object' }; // a revoked proxy, say
  }
}

/** For a message: ` = 5`, ` (text, 29 characters)`; nothing for what was left out. */
export function shownText(value: Shown): string {
  if (value === undefined) return '';
  if (typeof value !== 'object' || value === null) return ` = ${value}`;
  const { type, length } = value;
  if (length === undefined) return ` (${type})`;
  return ` (${type}, ${length} ${type === 'text' ? 'characters' : 'entries'})`;
}
