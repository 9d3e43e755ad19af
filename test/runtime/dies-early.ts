// A context whose first shard dies as soon as it has started, once; the others start when it has started again. The file in
// which the starts are noted is named by the query.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const notes = fileURLToPath(new URL(new URL(import.meta.url).searchParams.get('notes')!));
const startsNoted = (): number => (existsSync(notes) ? readFileSync(notes, 'utf8').length : 0);
const looksMost = 2_000; // some 10 s: by then it does not start any more

export default async ({ shard }: { shard: number }): Promise<object> => {
  if (shard !== 0) {
    for (let i = 0; i < looksMost && startsNoted() < 2; i++) await new Promise((resolve) => setTimeout(resolve, 5));
    return {};
  }
  appendFileSync(notes, '.');
  if (startsNoted() === 1) setImmediate(() => process.exit(3)); // when it has said that it is ready
  return {};
};
