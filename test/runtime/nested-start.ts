// The module that starts the service, see nested-import.ts.
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

void createRuntime({ logger: false, dataDir: '/nonexistent', aggregates: [Counter] });
