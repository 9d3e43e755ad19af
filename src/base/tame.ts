// Any text, from any source, as every store, topic, header, file and log line can take them: well-formed, without U+0000, and
// bounded. A store's text may take no U+0000, UTF-8 no half of a surrogate pair, and a broker no megabytes of an error's
// message. Payloads go another road: what is wrong with them is refused (payload.ts), never cut. Any thread.

/** Whether every sink can take the text: well-formed, and without U+0000. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** An error's message, or the words themselves; what cannot be shown says so. */
export function tame(words: unknown, lengthLimit = 500): string {
  let text: string;
  try {
    text = String(words instanceof Error ? words.message : words);
  } catch {
    return 'something that cannot be shown';
  }
  if (text.length <= lengthLimit && isStorable(text)) return text;
  return text.slice(0, lengthLimit).toWellFormed().replaceAll('\0', '');
}

const detailLimit = 4096; // a stack's
const listLimit = 1000;

/** The details of an error of ours, their texts tamed, also within lists and the plain objects in these. */
export function tameDetails<T>(details: T): T {
  if (typeof details !== 'object' || details === null) return details;
  let tamed: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(details)) {
    const instead = tameDetail(value);
    if (instead !== value) tamed = { ...(tamed ?? details), [name]: instead };
  }
  return (tamed as T | undefined) ?? details;
}

function tameDetail(value: unknown): unknown {
  if (typeof value === 'string') return tame(value, detailLimit);
  if (!Array.isArray(value)) return value;
  return value.slice(0, listLimit).map((one) => (typeof one === 'object' ? tameDetails(one) : tameDetail(one)));
}
