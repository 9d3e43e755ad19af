import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const runtime = await createRuntime({ logger: false, dataDir: process.argv[2]!, aggregates: [Counter], shards: 2 });
const { version } = await runtime.ref(Counter, 'a').add(1);
await runtime.close();
console.log(`closed at version ${version}`);
