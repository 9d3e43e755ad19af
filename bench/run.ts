// All suites, one table: what was asked, what was measured. `--smoke` runs each in tiny size, to see that it runs at all.
import { commandsInFlight } from './commands-in-flight.ts';
import { diskBytes } from './disk-bytes.ts';
import { idleActors } from './idle-actors.ts';
import { kafkaFlusher } from './kafka-flusher.ts';
import { kafkaHangs } from './kafka-hangs.ts';
import { kafkaLag } from './kafka-lag.ts';
import { logSize } from './log-size.ts';
import type { Row, Suite } from './measure.ts';
import { oneCommand } from './one-command.ts';
import { postgresFlush } from './postgres-flush.ts';
import { postgresLag } from './postgres-lag.ts';
import { postgresReplay } from './postgres-replay.ts';
import { publishAsync } from './publish-async.ts';
import { raiseInCommand } from './raise-in-command.ts';
import { replayFromStore } from './replay-from-store.ts';
import { printMachine, printRows } from './report.ts';
import { saveWithTx } from './save-with-tx.ts';
import { serialisePayload } from './serialise-payload.ts';
import { startAfterKill } from './start-after-kill.ts';
import { writtenAndSynced } from './written-and-synced.ts';

const suites: Record<string, Suite> = {
  'serialise-payload': serialisePayload,
  'raise-in-command': raiseInCommand,
  'one-command': oneCommand,
  'commands-in-flight': commandsInFlight,
  'written-and-synced': writtenAndSynced,
  'disk-bytes': diskBytes,
  'replay-from-store': replayFromStore,
  'idle-actors': idleActors,
  'start-after-kill': startAfterKill,
  'log-size': logSize,
  'save-with-tx': saveWithTx,
  'postgres-flush': postgresFlush,
  'postgres-replay': postgresReplay,
  'postgres-lag': postgresLag,
  'kafka-flusher': kafkaFlusher,
  'kafka-lag': kafkaLag,
  'kafka-hangs': kafkaHangs,
  'publish-async': publishAsync,
};

const smoke = process.argv.includes('--smoke');
const only = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const rows: Row[] = [];
if (!smoke) printMachine();
for (const [name, suite] of Object.entries(suites)) {
  if (only.length > 0 && !only.includes(name)) continue;
  process.stderr.write(`${name} …\n`);
  rows.push(...(await suite({ smoke })));
}
if (smoke) console.log(`bench: ${rows.length} measures taken in smoke size; their figures mean nothing`);
else printRows(rows);
