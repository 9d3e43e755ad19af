// Completes calls and exports their records, to be killed at any instant.
import { setTimeout as pause } from 'node:timers/promises';
import { createRuntime } from 'trunkline';
import { startBackOffice } from '../../examples/call-routing/back-office/back-office.ts';
import { allAggregates, makeCall } from './back-office-calls.ts';

const [dataDir, cdrFile, first] = process.argv.slice(2) as [string, string, string];
process.stdin.on('end', () => process.exit(0)).resume(); // no service outlives its parent
const runtime = await createRuntime({ logger: false, dataDir, aggregates: allAggregates, shards: 1 });
startBackOffice(runtime, { cdrFile, notify: () => {} });
console.log('started');
// No faster than records are written: what is left behind at a kill is handled by the next run.
for (let i = Number(first); ; i++) {
  await makeCall(runtime, `call-${i}`, `44${i % 7}`);
  await pause(10);
}
