// A user's mistake: the module with the definition starts the service as well.
import { type AnyAggregate, createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

export const Nested: AnyAggregate = { ...Counter, name: 'nested', module: import.meta.url };

void createRuntime({ logger: false, dataDir: '/nonexistent', aggregates: [Nested] });
