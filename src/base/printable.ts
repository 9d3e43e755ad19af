// Text of others' (ids, names, error texts) for a terminal: characters that would move its cursor, set its title, hide what
// stands there or turn its order round are written out. Any thread.

// Controls (C0, DEL, C1), line and paragraph separators, half surrogates, and format characters, among them all that order
// text from right to left; not the two joiners, which words and emoji need.
const unprintable = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One line, whatever was in it. What has been through it once does not change any more. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => short[character] ?? unitsOf(character));
}

/** JSON text, which stays the same JSON; its line breaks stay. */
export function printableJson(json: string): string {
  return json.replace(unprintable, (character) => (character === '\n' ? character : unitsOf(character)));
}

/** As JSON writes them: `\u001b`. */
function unitsOf(character: string): string {
  let text = '';
  for (let i = 0; i < character.length; i++) text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return text;
}
