// Every link in the documents leads to a file that is there, and every anchor to a heading of it.
import { existsSync, globSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { documents, proseOf, root, textOf } from './documents.ts';

const others = globSync(['*.md', 'src/**/*.md', 'examples/**/*.md'], { cwd: root });
const all = [...new Set([...documents, ...others])].sort();

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(document: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, title] of proseOf(document).matchAll(/^#{1,6} (.+)$/gm)) {
    const text = title!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = text.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
    let name = slug;
    for (let again = 1; anchors.has(name); again++) name = `${slug}-${again}`;
    anchors.add(name);
  }
  return anchors;
}

test('links and anchors', () => {
  const broken: string[] = [];
  let links = 0;
  for (const document of all) {
    for (const [, target] of proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(?:https?|mailto):/.test(target!)) continue;
      links++;
      const [file, anchor] = target!.split('#') as [string, string | undefined];
      const to = file === '' ? document : normalize(join(dirname(document), file));
      if (to.startsWith('..') || !existsSync(join(root, to))) broken.push(`${document}: ${target}`);
      else if (anchor !== undefined && (statSync(join(root, to)).isDirectory() || !anchorsOf(to).has(anchor)))
        broken.push(`${document}: ${target} (no such heading)`);
    }
  }
  expect(broken).toEqual([]);
  expect(links).toBeGreaterThan(50);
});

test('docs/README.md leads to every document', () => {
  const linked = new Set(
    [...proseOf('docs/README.md').matchAll(/\]\(([^)\s#]+)/g)].map(([, target]) => normalize(join('docs', target!))),
  );
  const missing = documents.filter((document) => document.startsWith('docs/') && !linked.has(document));
  expect(missing).toEqual(['docs/README.md']);
});

test('README is one that is read to its end', () => {
  expect(textOf('README.md').split('\n').length).toBeLessThanOrEqual(200);
});
