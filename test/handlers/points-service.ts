// A service that kills itself (SIGKILL) at a named point between the handling of an event and its checkpoint.

import { setTimeout as pause } from 'node:timers/promises';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { PostgresTables } from '../../src/adapters/postgres/handlers/tables.ts';
import { Effects } from '../../src/handler-state/effects.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { createRuntime, postgres } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { handlePoint } from './points.ts';

const [dataDir, point, timesText, connectionString] = process.argv.slice(2) as [string, string, string, string?];
process.stdin.on('end', () => process.exit(0)).resume(); // no service outlives its parent
const Store = connectionString === undefined ? LmdbTables : PostgresTables;
let left = Number(timesText);

const reached = (): void => {
  if (--left === 0) process.kill(process.pid, 'SIGKILL');
};

type Method = (this: any, ...args: any[]) => any;

/** Call something before a method, and something once it has resolved. */
function around(of: { prototype: object }, name: string, before: Method, after: () => void = () => {}): void {
  const prototype = of.prototype as Record<string, Method>;
  const method = prototype[name]!;
  prototype[name] = function (...args) {
    before.apply(this, args);
    const result = method.apply(this, args);
    if (typeof result?.then !== 'function') return result;
    return result.then((value: unknown) => {
      after();
      return value;
    });
  };
}

const points: Record<string, () => void> = {
  'before its effects count': () => around(Effects, 'commit', reached),
  'after its effects count': () => around(Effects, 'commit', () => {}, reached),
  'when it becomes a dead letter': () => around(StateTables, 'stage', (table) => table === 'dead-letters' && reached()),
  'before the checkpoint': () => around(Store, 'commit', reached),
  'after the checkpoint': () => around(Store, 'commit', () => {}, reached),
};
points[point]!();

const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Counter],
  shards: 1,
  ...(connectionString && { store: postgres({ connectionString }) }),
});
runtime.subscribe({
  name: 'points',
  concurrency: 4,
  retry: { attempts: 1 },
  handle: (event, { tx }) => handlePoint(event, tx, connectionString !== undefined),
});
// An event of each of eight aggregates at a time, and no faster than they are handled: the last run has to handle what is left.
for (;;) {
  await Promise.all(Array.from({ length: 8 }, (_, i) => runtime.ref(Counter, `c${i}`).add(1)));
  await pause(25);
}
