// Who is measured: systems.json says the work, and in words what its acknowledgement is worth.
import { readFileSync } from 'node:fs';
import type { Peer } from './comparison.ts';

/** A system that runs in a node of its own, or in a JVM. */
export interface System extends Omit<Peer, 'rounds' | 'version'> {
  /** Module under systems/ and its export; or a class of the JVM's and its first argument. */
  runs: { module: string; export: string } | { java: string; mode: string };
  /** The npm package whose version is reported; or, on the JVM, a property of the pom. */
  package?: string;
  /** Server that it needs. */
  needs?: 'postgres' | 'redis';
  inFlight: number;
}

export const systems: readonly System[] = JSON.parse(
  readFileSync(new URL('./systems.json', import.meta.url), 'utf8'),
) as System[];
