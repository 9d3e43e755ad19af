// The embedded store, as threads get it.
import { ownFile } from '../../../base/own-file.ts';
import type { LocalDescription } from '../../../store/local.ts';

export const embeddedStore = (folder: string): LocalDescription => ({
  module: ownFile('./adapter', import.meta.url).href,
  folder,
});
