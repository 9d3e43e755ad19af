// All families by name.
import { bounds } from './bounds.ts';
import { bytes } from './bytes.ts';
import { clocks } from './clocks.ts';
import { crowded } from './crowded.ts';
import { cycles } from './cycles.ts';
import { disk } from './disk.ts';
import { downstream } from './downstream.ts';
import type { Family } from './family.ts';
import { fullDisk } from './full-disk.ts';
import { interference } from './interference.ts';
import { kills } from './kills.ts';
import { misuse } from './misuse.ts';
import { model } from './model.ts';
import { network } from './network.ts';
import { overload, soak } from './overload.ts';
import { powerLoss } from './power-loss.ts';
import { ring } from './ring.ts';
import { security } from './security.ts';
import { sip } from './sip.ts';
import { threads } from './threads.ts';
import { wrap } from './wrap.ts';

export const families: Readonly<Record<string, Family>> = {
  kills,
  downstream,
  network,
  model,
  bounds,
  bytes,
  disk,
  'full-disk': fullDisk,
  'power-loss': powerLoss,
  ring,
  wrap,
  threads,
  cycles,
  crowded,
  overload,
  soak,
  security,
  sip,
  misuse,
  interference,
  clocks,
};
