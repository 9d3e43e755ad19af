// The page of a catalogue in Chromium: it searches, asks nobody for anything, and names that look like tags are text.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printable } from '../../src/base/printable.ts';
import { makeCatalogue } from '../../src/catalogue/catalogue.ts';
import { htmlPage } from '../../src/catalogue/html.ts';
import { type BrowserPage, openBrowser } from '../chromium.ts';
import { chromium } from '../services.ts';
import { order, Stock } from './config.ts';
import integrations from './integration.ts';
import { aggregate, all, hostile, inTopics } from './shop.ts';

/** Names that a browser would act on where they are not text. */
const active = ['<img src=x onerror=alert(1)>', '"><svg onload=alert(1)>', "' onfocus='alert(1)' autofocus='"];
const folder = mkdtempSync(join(tmpdir(), 'trunkline-page-'));
const file = join(folder, 'events.html');
const address = pathToFileURL(file).href;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!chromium.isPresent())('in Chromium', () => {
  let page: BrowserPage;
  beforeAll(async () => {
    const named = aggregate('active', Object.fromEntries(active.map((name) => [name, order.events.Noted!])));
    const readers = active.map((title) => ({ title, wants: () => true }));
    const options = { readers, integrations, stream: inTopics((type, event) => `${type}.${event}`) };
    const declared = [...all, named, order, Stock];
    writeFileSync(file, htmlPage(makeCatalogue(declared, { service: active[0]!, release: '1.0.0', ...options })));
    page = await openBrowser();
  });
  afterAll(() => page?.close());

  const shown = (): Promise<string[]> =>
    page.read("[...document.querySelectorAll('details')].filter((one) => one.checkVisibility()).map(({ id }) => id)");

  test('names are text', async () => {
    await page.open(address);
    const text: string = await page.read('document.body.textContent');
    for (const name of [...hostile.map(printable), ...active]) expect(text).toContain(name);
    expect(await page.read("document.querySelectorAll('script, img, svg, iframe, object, link').length")).toBe(1);
    expect(await page.read("document.querySelectorAll('[onerror], [onload], [onfocus]').length")).toBe(0);
    expect(await page.read('document.title')).toBe(`Events of ${active[0]}`);
  });

  test('the search finds by what is typed; a section without a hit goes', async () => {
    await page.open(address);
    const count = (await shown()).length;
    expect(await page.read("document.querySelector('output').textContent")).toBe(`${count} of ${count} events`);
    await page.type('repriced');
    expect(await shown()).toEqual(['stock.Repriced']);
    expect(await page.read("document.querySelector('output').textContent")).toBe(`1 of ${count} events`);
    expect(
      await page.read("[...document.querySelectorAll('section')].filter((one) => one.checkVisibility()).length"),
    ).toBe(1);
    await page.open(address);
    await page.type('integration placed');
    expect(await shown()).toEqual(['order.Placed']);
    await page.open(address);
    await page.type(active[0]!.toUpperCase());
    expect((await shown()).length).toBeGreaterThan(0);
  });

  test('an address with the name of an event opens it', async () => {
    await page.open(`${address}?named#order.Placed`);
    expect(await page.read("[...document.querySelectorAll('details[open]')].map(({ id }) => id)")).toEqual([
      'order.Placed',
    ]);
  });

  test('nothing was fetched, and no script failed', async () => {
    expect(new Set(page.requests.map((one) => one.replace(/[?#].*/, '')))).toEqual(new Set([address]));
    expect(page.faults).toEqual([]);
  });

  test('and another page’s faults are seen', async () => {
    const other = join(folder, 'other.html');
    const source = htmlPage(makeCatalogue([order], { service: 'shop', release: '1.0.0' }));
    const image = `<img src="${pathToFileURL(join(folder, 'none.png')).href}"><script>alert(1)</script>`;
    writeFileSync(other, source.replace('<h1>', `${image}<h1>`));
    await page.open(pathToFileURL(other).href);
    await expect.poll(() => page.faults.join('\n')).toMatch(/Content Security Policy/);
  });
});
