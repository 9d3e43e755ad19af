// The test kit: commands on one aggregate, in memory, without threads, files or services. It runs the very code that a
// shard runs: the same checks, the same serialisation, the same reducers.

import { nameOfDefinition } from '../base/checks.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { commandMethods } from '../shard/execution.ts';
import { metadataToJson } from '../wire/metadata.ts';
import type { GivenEvent, GivenOptions, When } from './contract.ts';
import { replay } from './replay.ts';
import { tried } from './trial.ts';

const givenFields = fieldsOf<GivenOptions>({ id: true, context: true, metadata: true, answer: true });

/**
 * Given these events of an aggregate, when a command comes, then …
 *
 * ```ts
 * given(Call, [{ type: 'CallCreated', data: created }]).when.route({ candidates }).then(['CallRouted']);
 * given(Call).when.route({ candidates }).then(new Rejected('no-such-call'));
 * given(Call).when.ring({ seconds: 30 }).after(30_000).then(['CallMissed']); // its timer is due
 * ```
 */
export function given<A extends AnyAggregate>(
  aggregate: A,
  events: readonly GivenEvent<A>[] = [],
  options: GivenOptions = {},
): { readonly when: When<A> } {
  nameOfDefinition(aggregate);
  checkFields('given', options, givenFields);
  const when = commandMethods(aggregate, (command, input) => {
    const nowMs = Date.now(); // as the test has it: it may have faked the date
    const actor = replay(aggregate, options.id ?? 'given', events, nowMs);
    const metadataJson = metadataToJson(options.metadata ?? {});
    return tried<A>({ actor, timers: new Map(), nowMs }, { command, input, metadataJson }, options);
  });
  return { when: when as When<A> };
}
