// Names, reasons and JSON of the user's within Markdown, MDX and YAML: as text, whatever is in them.

import { printable, printableJson } from '../base/printable.ts';

/** What fits an attribute, too. */
export const html = (text: string): string =>
  printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');

/** Several lines stay several lines. */
export const htmlLines = (text: string): string => text.split('\n').map(html).join('\n');

/** Nothing within a code span is Markdown, a tag, or an expression of MDX. */
export function code(text: string): string {
  const shown = printable(text);
  const longest = Math.max(0, ...Array.from(shown.matchAll(/`+/g), ([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = /^[` ]|[` ]$/.test(shown) ? ' ' : '';
  return `${fence}${space}${shown}${space}${fence}`;
}

export const codeList = (names: readonly string[]): string => names.map(code).join(', ');

/** A fenced block. Each of its lines begins with a brace, a bracket, a quote, a digit or a word of JSON: none ends the fence. */
export const jsonBlock = (value: unknown): string => `\`\`\`json\n${jsonText(value)}\n\`\`\``;

export const jsonText = (value: unknown): string => printableJson(JSON.stringify(value, null, 2));

/** In one line, as YAML and JSON both read it: YAML takes U+2028 for the end of a line. */
export const quoted = (text: string): string => printableJson(JSON.stringify(text));
