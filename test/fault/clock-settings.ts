// What the family `clocks` and its child say to each other, and how far a clock leaps.
import type { Told } from './audit.ts';

export interface ClocksSettings {
  dataDir: string;
  seed: number;
  /** Names this life: command names and keys begin with it. */
  name: string;
  commands: number;
  /** Keys of earlier lives, to be used again: commands, and effects. */
  again: KeyedCommand[];
  effects: string[];
}

/** A command under an idempotency key, the key being its name. */
export interface KeyedCommand {
  command: string;
  id: string;
  method: 'add' | 'addMany' | 'addSlowly' | 'sendOther';
  input: unknown[];
  events: number;
}

export type ClocksLine =
  | Told
  | { kind: 'leapt' }
  /** About to send a keyed command; its outcome, each time. */
  | { kind: 'keyed'; keyed: KeyedCommand }
  | { kind: 'outcome'; command: string; outcome: string }
  /** An effect has run, and is durable; all effects that this life found, with how often each has run. */
  | { kind: 'effect'; key: string }
  | { kind: 'effects'; counts: Record<string, number> }
  | { kind: 'wrong'; what: string };

const secondMs = 1_000;
const hourMs = 3_600 * secondMs;
export const dayMs = 24 * hourMs;
/** Both ways; those of days are longer than a key is remembered. */
export const leapsMs = [5 * secondMs, 90 * secondMs, hourMs, 7 * hourMs, 2 * dayMs, 31 * dayMs];
