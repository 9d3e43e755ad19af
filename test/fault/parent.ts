// The child's side of child.ts: its argument is the first line of its standard input; when that ends, the parent is gone.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const words: string[] = [];
let onWord: () => void = () => {};
createInterface({ input: process.stdin })
  .on('line', (word) => {
    words.push(word);
    onWord();
  })
  .on('close', () => process.exit(9));

export const argumentFromParent = async <T>(): Promise<T> => JSON.parse(await wordFromParent()) as T;

/** The next line that the parent says. */
export async function wordFromParent(): Promise<string> {
  while (words.length === 0) await new Promise<void>((resolve) => (onWord = resolve));
  return words.shift()!;
}

const retryMs = 1;

/** Tell the parent, at once and whole: what has been said outlives this process. */
export function say(line: string): void {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
}
