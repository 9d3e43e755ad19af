// A runtime that relays, to be killed at any instant: tells how many events it has heard, and goes with its parent.
import { writeSync } from 'node:fs';
import { createRuntime, postgres } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';

const [dataDir, connectionString, schema] = process.argv.slice(2) as [string, string, string];
process.stdin.on('close', () => process.exit(1)).resume();
const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Counter],
  store: postgres({ connectionString, schema }),
});
let heard = 0;
runtime.bus.on('*', () => void writeSync(1, `${++heard}\n`));
writeSync(1, 'ready\n');
