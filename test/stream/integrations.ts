// A user's integration events, as the flush thread imports them.
import { integration } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';

export default [
  integration(
    Counter,
    {
      Added: (event) =>
        event.data.amount === 13
          ? [
              { type: 'counter-bad-luck.v1', data: { of: event.aggregateId } },
              { type: 'bad-luck.v1', data: { again: true }, key: 'luck', topic: `${prefixOf(event.metadata)}.luck` },
            ]
          : undefined,
      Labelled: (event) => {
        if (event.data.label === 'broken') throw new Error('no such label');
        return { type: 'counter-named.v2', version: 2, data: { name: event.data.label } };
      },
    },
    (events) => (events.length > 2 ? { type: 'counter-burst.v1', data: { count: events.length } } : undefined),
  ),
];

const prefixOf = (metadata: { [key: string]: unknown }): string => String(metadata.prefix);
