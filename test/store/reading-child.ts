// Opens a store as a runtime would, reads all of it, and goes on writing. Argument: folder. Ends with 0 if the store was
// sound, with 3 if it was refused as damaged; anything else is a defect.
import assert from 'node:assert/strict';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { isError } from '../../src/base/errors.ts';
import { allIds, killedGroups } from './killed.ts';
import { batchOf, type SampleFrame } from './sample.ts';

try {
  const folder = process.argv[2]!;
  const sink = new EmbeddedSink(folder, 'log-1');
  const checkpoint = await sink.open();
  const store = EmbeddedStore.open(folder);
  const seen = new Set<number>();
  for (const id of allIds) {
    for (const { position, aggregateId, version, data } of await store.getByAggregate('call', id)) {
      const [[wanted]] = killedGroups(position, 1) as [[SampleFrame]];
      assert.deepEqual(
        { id: aggregateId, version, data },
        { id: wanted.id, version: wanted.version, data: wanted.data },
      );
      seen.add(position);
    }
  }
  assert.equal(seen.size, checkpoint);
  for (const type of ['Type0', 'Type1', 'Type2']) {
    for (const { position } of await store.getByType(type)) seen.delete(position);
  }
  assert.equal(seen.size, 0);
  sink.write(batchOf(checkpoint + 1, killedGroups(checkpoint + 1, 200)));
  await store.close();
  await sink.close();
} catch (error) {
  if (!isError(error, 'StoreDamaged')) throw error;
  process.exitCode = 3;
}
