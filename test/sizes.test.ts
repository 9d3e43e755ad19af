// How large a function and a list of parameters may be: what is above needs its reason in a comment in front of it, which
// says "In one function:" or "Fields by position:".
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vite';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const linesMost = 60;
const parametersMost = 5;

interface Node {
  type: string;
  start: number;
  end: number;
  kind?: string;
  params?: unknown[];
  value?: Node;
  [key: string]: unknown;
}

/** The comment that ends in front of a line. */
function commentBefore(lines: readonly string[], line: number): string {
  const found: string[] = [];
  for (let at = line - 1; at >= 0 && /^\s*(?:\/\/|\/\*|\*)/.test(lines[at]!); at--) found.unshift(lines[at]!);
  return found.join('\n');
}

function tooLarge(text: string): string[] {
  const code = stripTypeScriptTypes(text);
  const lines = text.split('\n');
  const lineOf = (offset: number): number => code.slice(0, offset).split('\n').length - 1;
  const found: string[] = [];
  const visit = (node: unknown, hasReason: boolean): void => {
    if (typeof node !== 'object' || node === null) return;
    if (Array.isArray(node)) {
      for (const one of node) visit(one, hasReason);
      return;
    }
    const { type, start, end, kind, value } = node as Node;
    let isExplained = hasReason;
    if (type === 'MethodDefinition' && kind === 'constructor' && value!.params!.length > parametersMost) {
      const line = lineOf(start);
      if (!commentBefore(lines, line).includes('Fields by position:'))
        found.push(`line ${line + 1}: a constructor with ${value!.params!.length} parameters`);
    }
    if (/^(?:Function|ArrowFunction)/.test(type) && !isExplained) {
      const first = lineOf(start);
      const length = lineOf(end) - first + 1;
      isExplained = length > linesMost && commentBefore(lines, first).includes('In one function:');
      if (length > linesMost && !isExplained) found.push(`line ${first + 1}: a function of ${length} lines`);
    }
    for (const part of Object.values(node)) visit(part, isExplained);
  };
  visit(parseAst(code), false);
  return found;
}

test('the sweep sees what is too large, and its reason', () => {
  const long = `function f() {\n${'  g();\n'.repeat(60)}}\n`;
  expect(tooLarge(long)).toEqual(['line 1: a function of 62 lines']);
  expect(tooLarge(`// In one function: it is a list.\n${long}`)).toEqual([]);
  const wide = 'class A {\n  constructor(a: 1, b: 2, c: 3, d: 4, e: 5, f: 6) {}\n}\n';
  expect(tooLarge(wide)).toEqual(['line 2: a constructor with 6 parameters']);
  expect(tooLarge(wide.replace('  con', '  // Fields by position: hot.\n  con'))).toEqual([]);
  expect(tooLarge(wide.replace(', f: 6', ''))).toEqual([]);
});

test('in src no function has more than 60 lines, no constructor more than five parameters, without a reason', () => {
  const found = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
    tooLarge(readFileSync(`${root}/${file}`, 'utf8')).map((one) => `${file} ${one}`),
  );
  expect(found.sort()).toEqual([]);
}, 120_000);
