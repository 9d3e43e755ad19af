// Pauses between tries: numbers within their bounds after any count of failures, and computed in one place.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { parseSync, Visitor } from 'oxc-parser';
import { expect, test } from 'vitest';
import { backoffMs, jittered, stretched } from '../src/base/backoff.ts';
import { ShardLives } from '../src/dispatch/shard-lives.ts';
import { storeBackoffMs } from '../src/handler-state/store-backoff.ts';
import { retryDelayMs } from '../src/subscriptions/retried.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const timerLimitMs = 2 ** 31 - 1;
const bounds = fc.record({
  minMs: fc.nat(timerLimitMs),
  maxMs: fc.nat(timerLimitMs),
  factor: fc.oneof(fc.constant(1), fc.constant(2), fc.double({ min: 1, noNaN: true, noDefaultInfinity: true })),
});
const failures = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 2 ** 31 }));

test('a pause is a number within its bounds, and none is shorter than the one before', () => {
  fc.assert(
    fc.property(bounds, failures, (settings, count) => {
      const ms = backoffMs(count, settings);
      expect(ms).toBeGreaterThanOrEqual(Math.min(settings.minMs, settings.maxMs));
      expect(ms).toBeLessThanOrEqual(settings.minMs === 0 ? 0 : settings.maxMs);
      expect(backoffMs(count + 1, settings)).toBeGreaterThanOrEqual(ms);
    }),
  );
  expect([1, 2, 3, 4, 5].map((count) => backoffMs(count, { minMs: 100, maxMs: 1_000 }))).toEqual([
    ...[100, 200, 400, 800, 1_000],
  ]);
});

test('jitter takes half of a pause at most, or makes it twice as long at most', () => {
  expect([0, 0.5, 1].map((at) => [jittered(100, () => at), stretched(100, () => at)])).toEqual([
    ...[
      [50, 100],
      [75, 150],
      [100, 200],
    ],
  ]);
});

test('a first pause of 0 stays 0, after however many attempts', () => {
  const retry = { attempts: 5_000, minDelayMs: 0, factor: 1e300, maxDelayMs: 1_000, jitter: true, nonRetryable: [] };
  const lives = new ShardLives({ timeoutMs: 1, attempts: 1e6, minDelayMs: 0, maxDelayMs: 1_000 });
  for (let i = 0; i < 2_000; i++) {
    if (i % 2 === 0) lives.short();
    lives.failed('no thread');
  }
  expect([retryDelayMs(retry, 4_000), lives.pauseMs, storeBackoffMs(4_000)]).toEqual([0, 0, 5_000]);
});

test('a shard that lacks what a thread needs is started again for a time, and no longer', () => {
  const settings = { timeoutMs: 1, attempts: 2, minDelayMs: 0, maxDelayMs: 0 };
  const passing = new ShardLives(settings);
  const fails = (lives: ShardLives): void => {
    lives.short();
    lives.failed('no thread');
  };
  for (let i = 0; i < 100; i++) fails(passing);
  expect(passing.isHopeless).toBe(false);
  const lasting = new ShardLives(settings, 0);
  fails(lasting);
  expect(lasting.isHopeless).toBe(false);
  fails(lasting);
  expect(lasting.isHopeless).toBe(true);
});

/** Where something else grows by a factor, each time. */
const grows: Readonly<Record<string, string>> = {
  'src/base/backoff.ts': 'the one place',
  'src/base/batch-size.ts': 'the size of a batch',
  'src/handler-state/table-pages.ts': 'the size of a page',
  'src/flush/batch.ts': 'a buffer',
  'src/adapters/lmdb/store/chain.ts': 'a buffer',
  'src/adapters/postgres/flush/flush-transaction.ts': 'how long a lock is waited for: the same each time',
  'src/adapters/postgres/rows/pages.ts': 'the size of a page',
  'src/adapters/postgres/rows/rows.ts': 'a buffer',
  'src/shard/snapshots.ts': 'versions until the next snapshot, no time',
};

test('no other file computes a backoff', () => {
  const found = new Set<string>();
  for (const file of globSync('src/**/*.ts', { cwd: root })) {
    const code = readFileSync(`${root}/${file}`, 'utf8');
    const isLiteral = ({ type }: { type: string }): boolean => type === 'Literal';
    const isProduct = (node: any): boolean =>
      node.type === 'BinaryExpression' && node.operator === '*' && (isLiteral(node.left) || isLiteral(node.right));
    new Visitor({
      BinaryExpression({ operator, left, right }) {
        if (operator === '**' && !isLiteral(right)) found.add(file);
        if (operator === '<<' && isLiteral(left) && !isLiteral(right)) found.add(file);
      },
      AssignmentExpression({ operator }) {
        if (operator === '*=' || operator === '<<=' || operator === '**=') found.add(file);
      },
      CallExpression(node) {
        const callee = code.slice(node.callee.start, node.callee.end);
        if (callee === 'Math.min' && node.arguments.some(isProduct)) found.add(file);
      },
      MemberExpression({ start, end }) {
        if (/^Math\.pow$/.test(code.slice(start, end))) found.add(file);
      },
    }).visit(parseSync(file, code).program);
  }
  expect([...found].sort()).toEqual(Object.keys(grows).sort());
});
