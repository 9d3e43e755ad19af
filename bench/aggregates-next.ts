// The release to come of a rehearsal: the same code by another module.
import { type AnyAggregate, defineAggregate } from '../src/model/aggregate.ts';
import { Probe as Before } from './aggregates.ts';

const { name, ...before }: AnyAggregate = Before;
export const Probe: AnyAggregate = defineAggregate(name, { ...before, module: import.meta.url });
