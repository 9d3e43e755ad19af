// A context that is made once, and never a second time: the start of a shard's successor does not end. The query names the
// file in which the starts are noted.
import { appendFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export default async (): Promise<object> => {
  const notes = fileURLToPath(new URL(new URL(import.meta.url).searchParams.get('notes')!));
  appendFileSync(notes, '.');
  if (readFileSync(notes, 'utf8').length > 1) await new Promise(() => {});
  return {};
};
