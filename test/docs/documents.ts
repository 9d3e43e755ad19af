// The documents that users read, README.md and docs/**, and the code blocks in them. What stands behind a fence's language
// says what a block is: `file=NAME` a file of a program, `output=NAME` what that program prints (with `signal=NAME`: how it
// ends). Tests walk all of them, so a new document needs no line anywhere.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root: string = join(import.meta.dirname, '../..');

export const documents: readonly string[] = ['README.md', ...globSync('docs/**/*.md', { cwd: root }).sort()];

export interface Block {
  readonly language: string;
  readonly file: string | undefined;
  readonly output: string | undefined;
  readonly signal: string | undefined;
  readonly text: string;
}

export const textOf = (document: string): string => readFileSync(join(root, document), 'utf8');

const fence = /^```(\w*)([^\n]*)\n([\s\S]*?)^```$/gm;

export function blocksOf(document: string): Block[] {
  return [...textOf(document).matchAll(fence)].map(([, language, words, text]) => {
    const word = (name: string): string | undefined => new RegExp(` ${name}=(\\S+)`).exec(words!)?.[1];
    return { language: language!, file: word('file'), output: word('output'), signal: word('signal'), text: text! };
  });
}

/** A document without its code blocks. */
export const proseOf = (document: string): string => textOf(document).replaceAll(fence, '');

/** All files that the documents show. Two documents may show the same file, and show the same text then. */
export function shownFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const document of documents) {
    for (const { file, text } of blocksOf(document)) {
      if (file === undefined) continue;
      if ((files.get(file) ?? text) !== text)
        throw new Error(`${document} shows another ${file} than a document before`);
      files.set(file, text);
    }
  }
  return files;
}
