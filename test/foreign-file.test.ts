// Text that others can write: within limits, or refused by name; and the sweep which holds that src reads it in one place.
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createZstdDecompress, zstdCompressSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { Registry } from '../src/adapters/kafka/registry.ts';
import { readArchive, verifyArchive } from '../src/adapters/postgres/partitions/archive-file.ts';
import { writeArchive } from '../src/adapters/postgres/partitions/archive-writing.ts';
import {
  collectText,
  linesIn,
  parseFields,
  parseJson,
  readBytes,
  readText,
  readTextLater,
  unpacked,
} from '../src/base/foreign-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-foreign-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, content: string | Buffer): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

const openFiles = (): number => readdirSync('/proc/self/fd').length;
const row = (sequence: number, data: unknown = { sequence }): string =>
  `${JSON.stringify({
    id: `e${sequence}`,
    ...{ aggregate_type: 'a', aggregate_id: 'b', version: sequence, event_type: 'T', schema_version: 1 },
    ...{ occurred_at: '2026-01-01', sequence, data },
  })}\n`;

test('a file is read whole, or refused by what is wrong with it; its descriptor is given back', async () => {
  const link = join(folder, 'link');
  symlinkSync(written('target', 'x'), link);
  spawnSync('mkfifo', [join(folder, 'pipe')]);
  const large = written('large', 'x'.repeat(100_001));
  const before = openFiles();
  for (const [file, reason] of [
    [large, /large is larger than 100000 bytes/],
    [written('latin', Buffer.from([0x7b, 0xe4, 0x7d])), /is not UTF-8/],
    [link, /is a symbolic link/],
    [join(folder, 'pipe'), /is no regular file/], // and nothing waits for its other end
    [folder, /is a folder, and a file is expected/],
  ] as const) {
    const refusal = expect.objectContaining({ code: 'FileRefused', message: expect.stringMatching(reason) });
    expect(() => readText(file, 100_000), file).toThrow(refusal);
    await expect(readTextLater(file, 100_000), file).rejects.toEqual(refusal);
  }
  expect(readText(large, 100_001)).toHaveLength(100_001);
  expect(await readTextLater(large, 100_001)).toHaveLength(100_001);
  expect(readBytes(large, 10, 99_999)).toHaveLength(2);
  expect(readText(join(folder, 'none'))).toBeUndefined();
  expect(await readTextLater(join(folder, 'none'), 1)).toBeUndefined();
  expect(readText(written('marked', '\ufeff{}'))).toBe('{}');
  expect(openFiles()).toBe(before);
});

test('JSON: none, or nested too deep, is undefined; no name in it is more than a property', () => {
  expect([parseJson('{'), parseJson(''), parseJson('['.repeat(1e6))]).toEqual([undefined, undefined, undefined]);
  expect(parseFields('7')).toEqual({});
  const hostile = parseFields('{"__proto__":{"format":1},"a":{"__proto__":{"polluted":1}}}');
  expect(hostile.format).toBeUndefined();
  expect(Object.keys(hostile)).toEqual(['__proto__', 'a']);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});

test('a line that does not end is given up at its limit, however much would follow', async () => {
  let pieces = 0;
  async function* endless(): AsyncGenerator<Buffer> {
    yield Buffer.from('first\nsec');
    for (;;) {
      pieces++;
      yield Buffer.alloc(1000, 'x');
    }
  }
  await expect(all(linesIn(endless(), 'a.txt', 10_000))).rejects.toMatchObject({
    code: 'FileRefused',
    details: { file: 'a.txt', line: 2, limit: 10_000 },
  });
  expect(pieces).toBe(10);
  const lines = await all(linesIn(Readable.from([Buffer.from('a\n\u2028'), Buffer.from('b\n\nc')]), 'a.txt', 10));
  expect(lines.map(String)).toEqual(['a', '\u2028b', '', 'c']);
  await expect(collectText(endless(), 'standard input', 10_000)).rejects.toMatchObject({ code: 'FileRefused' });
});

test('what unpacks to more than it may is given up; what is cut or no archive is an error of the promise', async () => {
  const packed = zstdCompressSync(Buffer.alloc(1 << 20, 'x'));
  const file = written('packed', packed);
  const open = (name: string, limits = { totalBytes: 1 << 20, ratio: 1 }): Promise<Buffer[]> =>
    all(unpacked(name, createZstdDecompress(), limits));
  expect(Buffer.concat(await open(file))).toHaveLength(1 << 20); // too small for its ratio to matter
  await expect(open(file, { totalBytes: 1 << 19, ratio: 1 })).rejects.toMatchObject({
    code: 'FileRefused',
    details: { limit: 1 << 19 },
  });
  await expect(open(written('cut', packed.subarray(0, 20)))).rejects.toThrow();
  await expect(open(written('other', 'no archive'))).rejects.toThrow();
  await expect(open(join(folder, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' });
  for await (const _ of unpacked(file, createZstdDecompress(), { totalBytes: 1 << 20, ratio: 1 })) break;
});

test('a small archive that is one endless line is refused by its line, and nothing throws into the process', async () => {
  const file = written('bomb.zst', zstdCompressSync(Buffer.alloc(80 << 20, 'a')));
  const refusal = { code: 'FileRefused', details: { file, line: 1, limit: 64 << 20 } };
  await expect(verifyArchive(file)).rejects.toMatchObject(refusal);
  await expect(all(readArchive(file))).rejects.toMatchObject(refusal);
  await expect(all(readArchive(file, undefined, { lineBytes: 1 << 20 }))).rejects.toMatchObject({
    details: { line: 1, limit: 1 << 20 },
    message: expect.stringContaining('raise lineBytes'),
  });
  expect(() => readArchive(file, undefined, { lineBytes: 1 })).not.toThrow();
  await expect(all(readArchive(file, undefined, { lineBytes: 1 }))).rejects.toMatchObject({ code: 'InvalidOptions' });
});

test('an archive that many times its size comes out of is refused by the ratio', async () => {
  const lines = zstdCompressSync(Buffer.alloc(280 << 20, `${'a'.repeat(1 << 16)}\n`));
  await expect(verifyArchive(written('ratio.zst', lines))).rejects.toMatchObject({
    code: 'FileRefused',
    details: { limit: 1000 },
  });
});

test('an archive that is not replaced: one above the limits, or that cannot be read, is not taken for none', async () => {
  const file = join(folder, 'month.zst');
  await writeArchive(file, Readable.from([Buffer.from(row(1, 'x'.repeat(5000)))]));
  const before = readFileSync(file);
  const again = (): Promise<unknown> =>
    writeArchive(file, Readable.from([Buffer.from(row(2))]), undefined, { lineBytes: 1024 });
  await expect(again()).rejects.toMatchObject({ code: 'FileRefused', details: { file, line: 1 } });
  expect(readFileSync(file)).toEqual(before);
  const loop = join(folder, 'loop.zst'); // as one that rights or the disk keep from being read
  symlinkSync(loop, loop);
  await expect(writeArchive(loop, Readable.from([Buffer.from(row(1))]))).rejects.toMatchObject({
    code: 'FileRefused',
    message: expect.stringContaining('cannot be read'),
  });
  expect(lstatSync(loop).isSymbolicLink()).toBe(true);
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
});

test.each([
  ['no JSON', 'x\n'],
  ['no event', '{"sequence":1}\n'],
  ['an event of no time', row(1).replace('2026-01-01', 'yesterday')],
  ['nested too deep', row(1).replace('{"sequence":1}', `${'['.repeat(500)}${']'.repeat(500)}`)],
])('an archive with a right sum and a line that is %s is ArchiveDamaged, and names the line', async (_, line) => {
  const { createHash } = await import('node:crypto');
  const sum = createHash('sha256').update(row(1)).update(line).digest('hex');
  const end = `{"end":true,"events":2,"lastSequence":1,"sha256":"${sum}"}\n`;
  const file = written('forged.zst', zstdCompressSync(row(1) + line + end));
  await expect(all(readArchive(file))).rejects.toMatchObject({ code: 'ArchiveDamaged', details: { file, line: 2 } });
});

test('a registry that answers without an end, or with no id, is RegistryUnavailable', async () => {
  let answer: (write: (text: string) => boolean) => void;
  const server = createServer((request, response) => {
    if (request.method !== 'POST') return void response.end('{"compatibilityLevel":"BACKWARD"}');
    const write = (text: string): boolean => response.write(text);
    response.on('drain', () => answer(write));
    answer(write);
    if (!response.writableNeedDrain) response.end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const registry = new Registry({
    url: `http://127.0.0.1:${port}`,
    ...({ compatibility: 'BACKWARD', subjects: 'topicRecord', schemas: {} } as const),
  });
  try {
    answer = (write) => {
      while (write('x'.repeat(1 << 20)));
    };
    await expect(registry.register('s', {})).rejects.toMatchObject({
      code: 'RegistryUnavailable',
      message: expect.stringContaining('is larger than'),
    });
    for (const text of ['{"id":"1"}', '{"__proto__":{"id":1}}', 'x', '{"id":4294967296}']) {
      answer = (write) => write(text);
      await expect(registry.register('s', {}), text).rejects.toMatchObject({ code: 'RegistryUnavailable' });
    }
    answer = (write) => write('{"id":7}');
    expect(await registry.register('s', {})).toBe(7);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** File → how often it parses JSON by itself, and why that text is ours. */
const parsesMeant: Readonly<Record<string, readonly [count: number, reason: string]>> = {
  'base/foreign-file.ts': [2, 'the reader'],
  'base/json.ts': [2, 'what was written by us: frames, what handlers keep, jsonb after its checks'],
};

/** Who reads a whole file, unpacks, or asks by HTTP, and why. */
const readersMeant: Readonly<Record<string, string>> = {
  'base/foreign-file.ts: createReadStream': 'the reader',
  'cli/dead-letters.ts: createReadStream': 'handed to the reader; a pipe is a file, too',
  'cli/program.ts: readFileSync': 'package.json of the package itself',
  'adapters/postgres/schema/migrations.ts: readFile': 'migrations of the package itself',
  'adapters/postgres/partitions/archive-file.ts: createZstdDecompress': 'handed to the reader',
  'adapters/kafka/http.ts: node:http': 'its body is handed to the reader',
  'adapters/kafka/http.ts: node:https': 'its body is handed to the reader',
};

test('src reads what others can write through the one reader; who does not is on the list, with the reason', () => {
  const src = fileURLToPath(new URL('../src', import.meta.url));
  const parses: Record<string, number> = {};
  const readers: string[] = [];
  const names =
    /\b(readFile|readFileSync|createReadStream|readv\w*|create(?:Zstd|Brotli)Decompress|create(?:Gunzip|Inflate\w*|Unzip)|(?:gunzip|inflate\w*|unzip|brotliDecompress|zstdDecompress)(?:Sync)?|createInterface)\b(?=[^;]*from '(?:node:|[^']*\/disk\.ts))/g;
  for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    const file = path.slice(src.length + 1);
    const text = readFileSync(path, 'utf8')
      .replaceAll(/\/\*[\s\S]*?\*\//g, '')
      .replaceAll(/(^|[^:])\/\/.*$/gm, '$1');
    const count = (text.match(/\bJSON\.parse\b/g) ?? []).length;
    if (count > 0) parses[file] = count;
    for (const statement of text.match(/^import [^;]*;/gm) ?? []) {
      for (const [name] of statement.matchAll(names)) readers.push(`${file}: ${name}`);
    }
    expect(text, file).not.toMatch(
      /import (?:\* as )?\w+ from 'node:fs|import \* as \w+ from 'node:zlib|\bresponse\.\w+\(|\.json\(\)/,
    );
    for (const [, name] of text.matchAll(/from '(node:(?:https?|http2))'/g)) readers.push(`${file}: ${name}`);
    for (const [, name] of text.matchAll(/\bzlib\.(\w*(?:decompress|gunzip|inflate|unzip)\w*)/gi)) {
      readers.push(`${file}: ${name}`);
    }
    if (/(?<![.\w])fetch\(/.test(text.replaceAll(/(?:private|async) fetch\(/g, ''))) readers.push(`${file}: fetch`);
  }
  expect(parses).toEqual(Object.fromEntries(Object.entries(parsesMeant).map(([file, [count]]) => [file, count])));
  expect(readers.sort()).toEqual(Object.keys(readersMeant).sort());
});
