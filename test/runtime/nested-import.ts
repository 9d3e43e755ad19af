// A user's mistake: the module with the definition imports the one that starts the service.
import type { AnyAggregate } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import './nested-start.ts';

export const Nested: AnyAggregate = { ...Counter, name: 'nested', module: import.meta.url };
