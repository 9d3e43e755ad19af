// What the stages of a start begin with.
import type { ControlBlockWriter } from '../shared/control-block.ts';
import type { ResolvedOptions } from './options.ts';
import type { Shutdown } from './shutdown.ts';

export interface Given {
  readonly options: ResolvedOptions;
  readonly control: ControlBlockWriter<'host'>;
  readonly shutdown: Shutdown;
}
