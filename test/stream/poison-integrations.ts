// Mappings of a user that make nonsense of some events, each of its own kind.
import { integration } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';

const sound = { type: 'named.v1', data: { n: 1 } };
const nonsense: Record<string, () => unknown> = {
  'key-number': () => ({ ...sound, key: 7 }),
  'key-object': () => ({ ...sound, key: {} }),
  'key-empty': () => ({ ...sound, key: '' }),
  'key-half': () => ({ ...sound, key: 'x\ud83d' }),
  'type-number': () => ({ ...sound, type: 7 }),
  'type-symbol': () => ({ ...sound, type: Symbol('s') }),
  'topic-object': () => ({ ...sound, topic: { toString: 1 } }),
  'topic-words': () => ({ ...sound, topic: 'no such topic' }),
  'source-object': () => ({ ...sound, source: { toString: 'x' } }),
  'version-nan': () => ({ ...sound, version: Number.NaN }),
  'data-bigint': () => ({ ...sound, data: 1n }),
  'data-nothing': () => ({ type: 'named.v1' }),
  'no-object': () => 7,
  'null-in-list': () => [null],
  'promise-in-list': () => [Promise.reject(new Error('too late'))],
  // biome-ignore lint/suspicious/noThenProperty: it is what is tried
  thenable: () => ({ ...sound, then() {} }),
  getter: () => ({
    get type() {
      throw Object.create(null);
    },
  }),
  promise: () => Promise.reject(new Error('too late')),
  'throws-nothing': () => {
    throw undefined;
  },
  'throws-novel': () => {
    throw new Error(`\0${'😀'.repeat(1_000_000)}`);
  },
  'throws-unshowable': () => {
    throw Object.create(null);
  },
};

export const nonsenseLabels: readonly string[] = [...Object.keys(nonsense), 'takes-all'];

export default [
  integration(
    Counter,
    {
      Labelled: (event) => (Object.hasOwn(nonsense, event.data.label) ? nonsense[event.data.label]!() : sound) as never,
    },
    (events) => {
      const [first] = events;
      if (first?.type === 'Labelled' && first.data.label === 'takes-all') (events as unknown[]).length = 0;
      return undefined;
    },
  ),
];
