// A service whose fsync begins to fail under way (its parent injects that): says what it was told, then how it ended.
import { createRuntime, type TrunklineError } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';

const runtime = await createRuntime({
  logger: false,
  dataDir: process.argv[2]!,
  aggregates: [Counter],
  shards: 1,
  flush: 'durable',
});
const counter = runtime.ref(Counter, 'a').with({ ack: 'synced' });
let acknowledged = 0;
let code = '';
for (let i = 0; i < 10_000 && code === ''; i++) {
  try {
    acknowledged = (await counter.add(1)).version;
  } catch (error) {
    code = (error as TrunklineError).code;
  }
}
const afterwards = await Promise.all(
  (['raised', 'written', 'synced'] as const).map((ack) =>
    counter
      .with({ ack })
      .add(1)
      .then(
        () => 'acknowledged',
        (error: TrunklineError) => error.code,
      ),
  ),
);
const { state } = runtime.status();
await runtime.close();
console.log(JSON.stringify({ acknowledged, code, afterwards, state }));
