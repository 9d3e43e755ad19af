// The control block: one table gives each word its place and its one writer, and in src no other code writes there.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ShardControlBlock, Signal, Watermark, type WatermarkName } from '../../src/shared/control-block.ts';
import { TestControlBlock } from '../control-block.ts';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const texts = new Map(
  globSync('**/*.ts', { cwd: src })
    .sort()
    .map((file) => [file, readFileSync(src + file, 'utf8').replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, '')]),
);
const filesWith = (pattern: RegExp): string[] =>
  [...texts].filter(([, text]) => pattern.test(text)).map(([file]) => file);

/** The table as it is written: name, offset, writer. */
const rows = [...texts.get('shared/control-block.ts')!.matchAll(/^ {2}(\w+): (\d+) as By<'([\w-]+)'>,$/gm)].map(
  ([, name, offset, writer]) => ({ name: name!, offset: Number(offset), writer: writer! }),
);

describe('the table', () => {
  test('names each word once, with one writer', () => {
    const words = { ...Watermark, ...Signal };
    expect(Object.keys(words).length).toBe(Object.keys(Watermark).length + Object.keys(Signal).length);
    expect(Object.fromEntries(rows.map(({ name, offset }) => [name, offset]))).toEqual(words);
    expect(rows.length).toBe(Object.keys(words).length);
  });

  test('gives no two words one place, and each shard a place of its own', () => {
    const shards = 64;
    const placesOf = ([name, first]: [string, number]): number[] =>
      Array.from({ length: name.startsWith('firstShard') ? shards : 1 }, (_, i) => first + i);
    for (const words of [Watermark, Signal]) {
      const places = Object.entries(words).flatMap(placesOf);
      expect(new Set(places).size).toBe(places.length);
    }
    const control = new TestControlBlock();
    for (const shard of [0, shards - 1]) {
      const own = new ShardControlBlock(shard, control.memory);
      own.beat();
      own.setActors(7 + shard);
      own.parker().arm(() => false);
      expect([control.beatOf(shard), control.actorsOf(shard), control.isShardBlocked(shard)]).toEqual([
        1,
        7 + shard,
        false,
      ]);
      expect(control.beatOf(1)).toBe(0);
    }
    const watermarkBytes = (Math.max(...Object.values(Watermark)) + 1) * 8;
    const signalBytes = (Math.max(...Object.values(Signal)) + shards) * 4;
    expect(watermarkBytes + signalBytes).toBeLessThanOrEqual(control.memory.byteLength);
  });

  test('is the one that docs/internals/memory.md shows', () => {
    const text = readFileSync(new URL('../../docs/internals/memory.md', import.meta.url), 'utf8');
    const shown = [...text.matchAll(/^\| `(\w+)` \|.*\| (\w+) thread\b.*\|$/gm)].map(([, name, writer]) => [
      name,
      writer,
    ]);
    const writers = new Map(rows.map(({ name, writer }) => [name, writer]));
    expect(shown.length).toBeGreaterThan(7);
    expect(shown.filter(([name, writer]) => writers.get(name!) !== writer)).toEqual([]);
  });
});

test('each watermark is read as it was published, whatever else is', () => {
  const control = new TestControlBlock();
  const names = Object.keys(Watermark) as WatermarkName[];
  for (const [index, name] of names.entries()) control.publish(name, 2 ** 40 + index);
  for (const [index, name] of names.entries()) expect([name, control.position(name)]).toEqual([name, 2 ** 40 + index]);
});

describe('in src', () => {
  test('no code outside of shared/ touches the words by itself', () => {
    const outside = (file: string): boolean => !file.startsWith('shared/');
    expect(filesWith(/\bAtomics\b/).filter(outside)).toEqual([]);
    expect(
      filesWith(/\bsignalsOf\b|control(?:Block)?\.signals\b|\['(?:signals|watermarks)'\]/).filter(outside),
    ).toEqual([]);
    expect(filesWith(/new (?:Big)?Int(?:32|64)Array\([\w.]*(?:control|controlBlock|memory)\b/).filter(outside)).toEqual(
      [],
    );
  });

  test('a word of several writers is written in the file that has its rule, and nowhere else', () => {
    const protocols = rows.filter(({ writer }) => texts.has(`shared/${writer}.ts`));
    expect(protocols.length).toBeGreaterThan(7);
    const raw = filesWith(/\bsignalsOf\(/).filter((file) => file !== 'shared/control-block.ts');
    for (const { name, writer } of protocols.filter(({ writer: by }) => by !== 'notifier')) {
      const touched = raw.filter((file) => new RegExp(`\\bSignal\\.${name}\\b`).test(texts.get(file)!));
      expect([name, touched]).toEqual([name, [`shared/${writer}.ts`]]);
    }
    const threads = new Set(rows.map(({ writer }) => writer).filter((writer) => !texts.has(`shared/${writer}.ts`)));
    expect([...threads].sort()).toEqual(['flush', 'host', 'log', 'shard', 'sync']);
  });

  test('each writer is made by its own thread, in one place', () => {
    const makers = new Map<string, string[]>();
    for (const [file, text] of texts) {
      for (const [, kind, thread] of text.matchAll(
        /new (ShardControlBlock|ControlBlockWriter)(?:<\w+>)?\((?:'(\w+)')?/g,
      )) {
        const writer = thread ?? kind!;
        makers.set(writer, [...(makers.get(writer) ?? []), file]);
      }
    }
    expect(Object.fromEntries(makers)).toEqual({
      log: ['log/thread.ts'],
      sync: ['log/sync-thread.ts', 'shared/control-block.ts'], // the second: publishRecovered, before there is a sync thread
      flush: ['flush/flush-thread.ts'],
      host: ['runtime/stages.ts'],
      ShardControlBlock: ['shard/shard.ts'],
    });
  });
});
