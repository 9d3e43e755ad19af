// The page of a catalogue: names, descriptions and examples are text in it, nothing is fetched, and its search finds.
import { createHash } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { printable } from '../../src/base/printable.ts';
import { makeCatalogue } from '../../src/catalogue/catalogue.ts';
import { htmlPage } from '../../src/catalogue/html.ts';
import { all, customer, hostile, inTopics, many } from './shop.ts';

const byEvent = inTopics((type, event) => `${type}.${event}`);
const pageOf = (aggregates = all): string =>
  htmlPage(makeCatalogue(aggregates, { service: hostile.join(' '), release: '1.0.0', stream: byEvent }));

const element = (page: string, name: string): string => {
  const found = [...page.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, 'g'))];
  expect(found).toHaveLength(1);
  return found[0]![1]!;
};

/** What a browser shows of text and attributes. */
const decoded = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

const tag = /<(\/?[a-z]+[1-6]?)((?: [a-z-]+(?:="[^"<>]*")?)*)>/g;

test('each tag and attribute is one of ours, each name of the user is text', () => {
  const page = pageOf();
  const rest = page
    .replace(element(page, 'script'), '')
    .replace(element(page, 'style'), '')
    .replace('<!doctype html>', '');
  const tags = new Set<string>();
  const attributes = new Set<string>();
  for (const [, name, own] of rest.matchAll(tag)) {
    tags.add(name!.replace('/', ''));
    for (const [, attribute] of own!.matchAll(/ ([a-z-]+)(?:="[^"]*")?/g)) attributes.add(attribute!);
  }
  expect([...tags].sort()).toEqual(
    [
      ...['html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'small', 'p', 'label', 'input', 'output', 'section'],
      ...['h2', 'ul', 'li', 'code', 'details', 'summary', 'h3', 'pre', 'script'],
    ].sort(),
  );
  expect([...attributes].sort()).toEqual(
    ['autofocus', 'charset', 'content', 'data-find', 'http-equiv', 'id', 'lang', 'name', 'placeholder', 'type'].sort(),
  );
  const text = rest.replaceAll(tag, '');
  expect(text).not.toMatch(/[<>"']/);
  expect(page).not.toMatch(/[\u2028\u2029]|https?:\/\/(?!json-schema\.org)/);
  const seen = decoded(text);
  for (const name of hostile) {
    for (const shown of [name, `odd ${name}`, `was ${name}`, `no ${name}`]) expect(seen).toContain(printable(shown));
  }
  expect(seen).toContain('</script>\\u2028'); // a description
});

test('the policy lets the page’s own script and style run, and nothing else', () => {
  const page = pageOf();
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(page)![1]!;
  const hash = (name: string): string => {
    const sum = createHash('sha256').update(element(page, name)).digest('base64');
    return `${name}-src 'sha256-${sum}'`;
  };
  expect(policy.split('; ')).toEqual([
    "default-src 'none'",
    hash('script'),
    hash('style'),
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  expect(page.indexOf('Content-Security-Policy')).toBeLessThan(page.indexOf('<style>'));
});

interface Details {
  dataset: { find: string };
  hidden: boolean;
  open: boolean;
  id: string;
}

/** The page's script with the parts of a document that it asks for. */
function opened(page: string, hash: string) {
  const details = Array.from(page.matchAll(/<details id="([^"]*)" data-find="([^"]*)">/g), ([, id, find]): Details => {
    return { dataset: { find: decoded(find!) }, hidden: false, open: false, id: id! };
  });
  let input = (): void => {};
  const box = { value: '', addEventListener: (_: string, heard: () => void) => void (input = heard) };
  const output = { textContent: '' };
  const section = { hidden: false, querySelector: () => details.find(({ hidden }) => !hidden) ?? null };
  const document = {
    querySelector: (name: string) => (name === 'input' ? box : output),
    querySelectorAll: (name: string) => (name === 'details' ? details : [section]),
    getElementById: (id: string) => details.find((one) => one.id === id) ?? null,
  };
  runInNewContext(element(page, 'script'), { document, location: { hash }, addEventListener: () => {} });
  const search = (words: string) => {
    box.value = words;
    input();
    return { shown: details.filter(({ hidden }) => !hidden).map(({ id }) => id), said: output.textContent, section };
  };
  return { details, search };
}

test('its search goes by names of today and before, fields and topics; a link opens an event', () => {
  const { details, search } = opened(pageOf([customer]), '#customer.Grew');
  expect(details.filter(({ open }) => open).map(({ id }) => id)).toEqual(['customer.Grew']);
  expect(search('').said).toBe('5 of 5 events');
  expect(search('REGISTERED').shown).toEqual(['customer.SignedUp']);
  expect(search('moved').shown).toEqual(['customer.AddressGiven']);
  expect(search(' given  client.').shown).toEqual([
    'customer.AddressGiven',
    'customer.PhoneGiven',
    'customer.SignedUp',
  ]);
  expect(search('parts')).toMatchObject({
    shown: ['customer.Grew'],
    said: '1 of 5 events',
    section: { hidden: false },
  });
  expect(search('<script>')).toMatchObject({ shown: [], section: { hidden: true } });
  const plain = opened(htmlPage(makeCatalogue([customer], { service: 'shop', release: '1' })), '');
  expect(plain.search('registered').shown).toEqual(['customer.SignedUp']);
  expect(plain.search('client.').shown).toEqual([]);
  const odd = opened(pageOf(), '');
  expect(odd.search('<script>alert(1)</script>').shown.length).toBeGreaterThan(0);
});

test('five thousand event types take seconds', { timeout: 120_000 }, () => {
  const page = pageOf([many(5000)]);
  expect(page.match(/<details /g)).toHaveLength(5000);
});
