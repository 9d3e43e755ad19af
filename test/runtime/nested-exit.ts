// A user's mistake: the service's main module defines an aggregate, too, so that each shard imports it. Its start is refused
// there, and what it does then ends the thread.
import { type AnyAggregate, createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

export const NestedExit: AnyAggregate = { ...Counter, name: 'nested', module: import.meta.url };

await createRuntime({ logger: false, dataDir: '/nonexistent', aggregates: [NestedExit] }).catch(() => process.exit(1));
