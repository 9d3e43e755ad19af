// Ends its process under load, in the way that its argument names, without closing the runtime.
import { createRuntime } from '../../src/index.ts';
import { Rogue } from './rogue.ts';

const [dataDir, way, afterMs] = process.argv.slice(2) as [string, string, string];
const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Rogue],
  shards: 1,
  flush: { syncIntervalMs: 0 },
});
let acknowledged = 0;
const ends = {
  exit: () => process.exit(5),
  throw: () => {
    throw new Error('uncaught under load');
  },
  reject: () => void Promise.reject(new Error('unhandled under load')),
};
process.on('exit', () => console.log(acknowledged));
// Enough at once that the store takes them in large transactions, in the middle of which the end comes.
const ref = runtime.ref(Rogue, 'a');
for (let i = 0; i < 30_000; i++) {
  void ref.count().then(({ version }) => {
    acknowledged = version;
    if (version === 1) setTimeout(ends[way as keyof typeof ends], Number(afterMs));
  });
}
