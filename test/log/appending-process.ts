// Entry of a process that appends until it is killed, and says after each commit how far it has come.
import { writeSync } from 'node:fs';
import { SampleLog } from './sample-log.ts';

const log = await SampleLog.open(process.argv[2]!);
for (let i = 0; ; i++) {
  log.append(i % 3 === 0 ? [1] : [(i * 7) % 90, 2].filter((size) => size > 0), Math.max(1, log.nextPosition - 2000));
  writeSync(1, `${log.nextPosition - 1}\n`);
  if (i % 5 === 0) log.writer.truncateBelow(log.nextPosition - 2000, 50);
}
