// The embedded store, as threads get it.
import { ownFile } from '../../own-file.ts';
import type { LocalDescription } from '../local.ts';

export const embeddedStore = (folder: string): LocalDescription => ({
  module: ownFile('./adapter', import.meta.url).href,
  folder,
});
