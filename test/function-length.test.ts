// A function is read at once: it has 60 lines at most. One that has more says above itself why it is one: `In one function: …`.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';

const lineLimit = 60;
const src = fileURLToPath(new URL('../src', import.meta.url));

/** Lines on which a function begins, and how many it has. */
function functionsIn(file: string, text: string): { line: number; lines: number }[] {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);
  const found: { line: number; lines: number }[] = [];
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, start, end } = node as { type?: unknown; start: number; end: number };
    if (typeof type === 'string' && /^(?:ArrowFunction|Function)/.test(type)) {
      const line = lineOf(start);
      found.push({ line, lines: lineOf(end) - line + 1 });
    }
    for (const inner of Object.values(node)) walk(inner);
  };
  walk(program);
  return found;
}

/** The comment right above a line. */
function commentAbove(line: number, lines: readonly string[]): string {
  let first = line - 1;
  while (first > 0 && /^\s*(?:\/\/|\/?\*)/.test(lines[first - 1]!)) first--;
  return lines.slice(first, line - 1).join('\n');
}

test('what is longer than a function may be says why it is one', () => {
  const long: string[] = [];
  for (const file of (readdirSync(src, { recursive: true }) as string[]).filter((one) => one.endsWith('.ts')).sort()) {
    const text = readFileSync(join(src, file), 'utf8');
    const lines = text.split('\n');
    for (const { line, lines: count } of functionsIn(file, text)) {
      if (count <= lineLimit || /In one function: \S/.test(commentAbove(line, lines))) continue;
      long.push(`${file}:${line}: ${count} lines`);
    }
  }
  expect(long).toEqual([]);
});
