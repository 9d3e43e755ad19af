// Opens a store as a runtime would, reads all of it, and goes on writing. Argument: folder. Ends with 0 if the store was
// sound, with 3 if it was refused as damaged; anything else is a defect.
import { isError } from '../../src/errors.ts';
import { EmbeddedStore } from '../../src/store/lmdb/embedded.ts';
import { EmbeddedSink } from '../../src/store/lmdb/sink.ts';
import { allIds, killedGroups } from './killed.ts';
import { batchOf } from './sample.ts';

try {
  const folder = process.argv[2]!;
  const sink = new EmbeddedSink(folder, 'log-1');
  const checkpoint = await sink.open();
  const store = EmbeddedStore.open(folder);
  for (const id of allIds) for (const event of await store.getByAggregate('call', id)) event.data;
  for (const type of ['Type0', 'Type1', 'Type2']) await store.getByType(type);
  sink.write(batchOf(checkpoint + 1, killedGroups(checkpoint + 1, 200)));
  await store.close();
  await sink.close();
} catch (error) {
  if (!isError(error, 'StoreDamaged')) throw error;
  process.exitCode = 3;
}
