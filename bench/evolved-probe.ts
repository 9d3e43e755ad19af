// The probe some releases later: the same payload today, of its sixth version.
import { defineAggregate } from '../src/model/aggregate.ts';
import { versions } from '../src/model/event-spec.ts';
import { Probe } from './aggregates.ts';
import type { Routed } from './payload.ts';

export const EvolvedProbe = defineAggregate('evolved', {
  module: import.meta.url,
  state: Probe.state,
  events: {
    CallRouted: versions<Pick<Routed, 'callId' | 'from' | 'to' | 'trunk'>>()
      .next<Omit<Routed, 'currency' | 'attempts' | 'codecs' | 'at'>>((old) => ({ ...old, rate: '0.0123' }))
      .next<Omit<Routed, 'attempts' | 'codecs' | 'at'>>((old) => ({ ...old, currency: 'EUR' }))
      .next<Omit<Routed, 'codecs' | 'at'>>((old) => ({ ...old, attempts: 2 }))
      .next<Omit<Routed, 'at'>>((old) => ({ ...old, codecs: ['PCMU', 'PCMA'] }))
      .next<Routed>((old) => ({ ...old, at: 1_737_000_000_000 })),
  },
  evolve: Probe.evolve as never,
  snapshot: { every: 0 },
  commands: Probe.commands,
});
