// A release to come whose module makes a runtime.
import { defineAggregate } from '../../../src/model/aggregate.ts';
import { createRuntime } from '../../../src/runtime/runtime.ts';
import { Till as Before } from './tills.ts';

const { name, ...before } = Before;
export const Till = defineAggregate(name, { ...before, module: import.meta.url });
createRuntime({ dataDir: './never', aggregates: [Till] }).catch(() => {});
