// All families by name.
import { bytes } from './bytes.ts';
import { disk } from './disk.ts';
import type { Family } from './family.ts';
import { kills } from './kills.ts';

export const families: Readonly<Record<string, Family>> = { kills, bytes, disk };
