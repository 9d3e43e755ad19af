// LMDB as the local store: which of this folder's parts each thread gets, each imported when it is asked for.
import type { LocalStore } from '../../../store/local.ts';

const store: LocalStore = {
  async openSink(folder, logId, settings) {
    const { EmbeddedSink } = await import('./sink.ts');
    return new EmbeddedSink(folder, logId, settings);
  },
  async openReader(folder) {
    const { openEmbeddedReader } = await import('./reader.ts');
    return openEmbeddedReader(folder);
  },
  async openArchive(folder) {
    const { EmbeddedStore } = await import('./embedded.ts');
    return EmbeddedStore.open(folder);
  },
};

export default store;
