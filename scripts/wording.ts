// Part of `npm run lint`: refuses phrases that are not plain technical English in what people read: comments, error messages,
// log lines, texts of the command line (string literals of more than one word), and the documents. The phrases, and what to
// write instead, are in wording.json. So is a budget for each folder: how many lines still have one. A budget only falls:
// more lines fail, and fewer fail as well, until `npm run wording` has written the new count down. That
// command refuses to raise the sum, so it also serves when files move from one folder to another.
import { globSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';
import { root } from './third-party.ts';

interface Wording {
  readonly phrases: Readonly<Record<string, string>>;
  budgets: Readonly<Record<string, number>>;
}

interface Line {
  readonly place: string;
  readonly found: string;
  readonly instead: string;
}

const file = join(root, 'scripts', 'wording.json');
const wording = JSON.parse(readFileSync(file, 'utf8')) as Wording;
const sources = ['*.ts', '{src,bench,examples,scripts}/**/*.ts'];
// Not the results of the bench, and no notes of third parties: both are generated.
const documents = ['*.md', '{docs,src,examples}/**/*.md'];
const generated = ['THIRD-PARTY.md'];
const phrases = Object.entries(wording.phrases).map(([phrase, instead]) => ({
  pattern: new RegExp(`\\b${phrase.replaceAll(' ', '(?:\\s|[/*])+')}\\b`, 'gi'), // also over the end of a comment's line
  instead,
}));

/** The text with all that is no prose blanked, so that offsets stay. */
function proseOf(path: string, text: string): string {
  if (path.endsWith('.md')) return text;
  const { program, comments } = parseSync(path, text);
  const kept = comments.map(({ start, end }) => [start, end] as const);
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if (!Array.isArray(node)) {
      const { type, value, start, end } = node as { type?: string; value?: unknown; start: number; end: number };
      const said = type === 'TemplateElement' ? (value as { raw: string }).raw : type === 'Literal' ? value : undefined;
      if (typeof said === 'string' && /\w\s|\s\w/.test(said)) kept.push([start, end]);
    }
    for (const child of Object.values(node)) if (typeof child === 'object') visit(child);
  };
  visit(program.body);
  let prose = '';
  for (const [start, end] of kept.sort(([a], [b]) => a - b)) {
    if (start < prose.length) continue;
    prose += text.slice(prose.length, start).replaceAll(/[^\n]/g, ' ') + text.slice(start, end);
  }
  return prose;
}

function linesIn(path: string): Line[] {
  const prose = proseOf(path, readFileSync(join(root, path), 'utf8'));
  const lines = new Map<number, Line>();
  for (const { pattern, instead } of phrases) {
    for (const { 0: found, index } of prose.matchAll(pattern)) {
      const line = prose.slice(0, index).split('\n').length;
      lines.set(line, { place: `${path}:${line}`, found: found.replaceAll(/[\s/*]+/g, ' '), instead });
    }
  }
  return [...lines.values()];
}

/** `src/log` of `src/log/a.ts` and `src/log/b/c.ts`; `src` of `src/a.ts`; a document at the root stands for itself. */
const folderOf = (path: string): string =>
  dirname(path) === '.'
    ? path
    : path.startsWith('src/')
      ? dirname(path).split('/').slice(0, 2).join('/')
      : path.split('/')[0]!;

const shown = 6;
const changedMs = ({ place }: Line): number => statSync(join(root, place.split(':')[0]!)).mtimeMs;

const found = new Map<string, Line[]>();
for (const path of globSync([...sources, ...documents], { cwd: root, exclude: generated }).sort()) {
  const lines = linesIn(path);
  if (lines.length > 0) found.set(folderOf(path), [...(found.get(folderOf(path)) ?? []), ...lines]);
}
const counts = Object.fromEntries([...found].map(([folder, lines]) => [folder, lines.length]));
const sumOf = (numbers: Readonly<Record<string, number>>): number => Object.values(numbers).reduce((a, b) => a + b, 0);

if (process.argv.includes('--record')) {
  if (sumOf(counts) > sumOf(wording.budgets)) {
    console.error(`${sumOf(counts)} lines have a phrase of ${file}; it allows ${sumOf(wording.budgets)} in all`);
    process.exitCode = 1;
  } else writeFileSync(file, `${JSON.stringify({ ...wording, budgets: counts }, undefined, 2)}\n`);
} else {
  for (const folder of new Set([...Object.keys(wording.budgets), ...found.keys()])) {
    const [count, budget] = [counts[folder] ?? 0, wording.budgets[folder] ?? 0];
    if (count === budget) continue;
    process.exitCode = 1;
    if (count < budget) {
      console.error(`${folder}: ${count} lines have a phrase of wording.json, ${budget} are recorded: npm run wording`);
    } else {
      const newest = found.get(folder)!.sort((a, b) => changedMs(b) - changedMs(a));
      for (const line of newest.slice(0, shown)) console.error(`${line.place}: '${line.found}'; ${line.instead}`);
      if (newest.length > shown)
        console.error(`${folder}: and ${newest.length - shown} more, in files that changed before`);
      console.error(`${folder}: ${count} lines have a phrase of wording.json, ${budget} are allowed`);
    }
  }
}
