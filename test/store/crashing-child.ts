// Writes the embedded store for ever, and says after each commit how far it is; somebody kills it. Arguments: folder, seed.
import { writeSync } from 'node:fs';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { killedGroups } from './killed.ts';
import { batchOf } from './sample.ts';

const [folder, seed] = [process.argv[2]!, Number(process.argv[3])];
const sink = new EmbeddedSink(folder, 'log-1');
let position = await sink.open();
for (let turn = 0; ; turn++) {
  const frames = 1 + ((seed * 31 + turn * 17) % 400);
  sink.write(batchOf(position + 1, killedGroups(position + 1, frames)));
  position += frames;
  writeSync(1, `${position}\n`);
}
