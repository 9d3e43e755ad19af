// Who gets which event, by what a module exports.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { makeCatalogue } from '../../src/catalogue/catalogue.ts';
import { htmlPage } from '../../src/catalogue/html.ts';
import { markdownFiles } from '../../src/catalogue/markdown.ts';
import { loadReaders } from '../../src/catalogue/readers.ts';
import { customer } from './shop.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-readers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('handlers, projections and integrations, by names of today and before', async () => {
  const readers = await loadReaders(fileURLToPath(new URL('handlers.ts', import.meta.url)));
  const catalogue = makeCatalogue([customer], { service: 'shop', release: '1.0.0', readers });
  const everyone = ['handler all-of-it', 'handler whole (some of them)'];
  const found = Object.fromEntries(catalogue.aggregates[0]!.events.map(({ type, readers }) => [type, readers]));
  expect(found).toEqual({
    AddressGiven: [...everyone, 'handler moves'].sort(),
    Closed: everyone,
    Grew: [...everyone, 'handler careful', 'projection sums'].sort(),
    PhoneGiven: [...everyone, 'handler moves'].sort(),
    SignedUp: [...everyone, 'handler welcome', 'integration events of client'].sort(),
  });
  const page = markdownFiles(catalogue).get('services/shop/events/customer.Grew/index.mdx');
  const read = '`handler all-of-it`, `handler careful`, `handler whole (some of them)`, `projection sums`';
  expect(page).toContain(`- Read by: ${read}\n`);
  expect(htmlPage(catalogue)).toContain('<code>projection sums</code>');
});

test.each([
  ['export const a = 1, b = {}, c = null, d = [undefined, { name: 7, handle() {} }];', 'exports no handler'],
  ["export const a = { handlerName: 'a', handle() {}, handles() { throw new Error('not now'); } };", 'not now'],
  ["throw new Error('never');", 'cannot be imported: never'],
  ["export const a = { get handle() { throw new Error('a getter'); } };", 'a getter'],
])('%s is refused in one line', async (source, reason) => {
  const file = join(folder, `m${source.length}.mjs`);
  writeFileSync(file, source);
  const refusal = await loadReaders(file).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'FileRefused', message: expect.stringContaining(reason) });
  expect((refusal as Error).message).not.toContain('\n');
});
