// An iteration in pages: in order, whoever asks how often; given up at once, however long it would have waited.
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { onAbort } from '../src/base/on-abort.ts';
import { PagedIterator } from '../src/base/paged-iterator.ts';

interface Made {
  iterator: PagedIterator<number>;
  /** How the pages have ended. */
  ended: Promise<string>;
}

/** Pages 1 to `count` of two items each; then it waits without end. */
function waiting(count: number, signal?: AbortSignal): Made {
  const ended = Promise.withResolvers<string>();
  const pages = async function* (ending: AbortSignal): AsyncGenerator<number[]> {
    try {
      for (let i = 0; i < count; i++) yield [2 * i, 2 * i + 1];
      await new Promise<void>((resolve) => void onAbort(ending, () => resolve()));
      ending.throwIfAborted();
    } catch (error) {
      ended.resolve((error as Error).message);
      throw error;
    } finally {
      ended.resolve('');
    }
  };
  return { iterator: new PagedIterator(pages, signal), ended: ended.promise };
}

async function* finite(): AsyncGenerator<number[]> {
  yield [1, 2];
  yield [];
  yield [3];
}

const done = { done: true, value: undefined };

test('items come in the order of their pages, however many are asked for at once', async () => {
  const all: number[] = [];
  for await (const item of new PagedIterator(finite, undefined)) all.push(item);
  expect(all).toEqual([1, 2, 3]);
  const iterator = new PagedIterator(finite, undefined);
  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => iterator.next()));
  expect(answers.map(({ value }) => value)).toEqual([1, 2, 3, undefined, undefined]);
  expect(await iterator.next()).toEqual(done);
});

test('return() ends a wait at once: every pending next() is over, and the pages have ended', async () => {
  const { iterator, ended } = waiting(1);
  expect((await iterator.next()).value).toBe(0);
  expect((await iterator.next()).value).toBe(1);
  const pending = [iterator.next(), iterator.next()];
  expect(await iterator.return()).toEqual(done);
  expect(await Promise.all(pending)).toEqual([done, done]);
  expect(await iterator.next()).toEqual(done);
  await ended;
});

test('a loop that breaks, a stream that is destroyed, and `await using` let go of the pages', async () => {
  const left = waiting(3);
  for await (const item of left.iterator) if (item === 3) break;
  await left.ended;
  const streamed = waiting(1);
  const stream = Readable.from(streamed.iterator);
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.on('data', () => {});
  await new Promise((resolve) => setImmediate(resolve));
  stream.destroy();
  await Promise.all([closed, streamed.ended]);
  const used = waiting(1);
  {
    await using iterator = used.iterator;
    await iterator.next();
  }
  await used.ended;
});

test("the signal's reason comes out once, in front of items that are there; then it is over", async () => {
  const user = new AbortController();
  const { iterator, ended } = waiting(2, user.signal);
  await iterator.next();
  user.abort(new Error('enough'));
  await expect(iterator.next()).rejects.toThrow('enough');
  expect(await iterator.next()).toEqual(done);
  await ended;
  const late = waiting(2, user.signal);
  await expect(late.iterator.next()).rejects.toThrow('enough');
});

test('what the pages throw comes out; throw() ends them', async () => {
  const failing = new PagedIterator<number>(async function* () {
    yield [1];
    throw new Error('broken');
  }, undefined);
  expect((await failing.next()).value).toBe(1);
  await expect(failing.next()).rejects.toThrow('broken');
  expect(await failing.next()).toEqual(done);
  const { iterator, ended } = waiting(2);
  await iterator.next();
  await expect(iterator.throw(new Error('mine'))).rejects.toThrow('mine');
  await ended;
});
