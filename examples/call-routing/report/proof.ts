// Holds what the restarted router remembers against what was acknowledged and what the outside world saw before the kill.
import type { Acknowledgement, EventLine } from '../control.ts';
import type { CallRecord } from '../traffic/caller.ts';

export interface Witnesses {
  /** As the router wrote them on its pipe. */
  readonly acknowledgements: readonly Acknowledgement[];
  /** What the caller saw. */
  readonly records: readonly CallRecord[];
  /** Call-IDs of the INVITEs that reached the callee. */
  readonly reached: ReadonlySet<string>;
  /** Call-IDs of the calls that the callee hung up: the answer to its BYE says that they are over. */
  readonly hungUp: ReadonlySet<string>;
}

export interface Check {
  readonly what: string;
  readonly checked: number;
  readonly wrong: readonly string[];
}

export function prove(
  events: readonly EventLine[],
  { acknowledgements, records, reached, hungUp }: Witnesses,
): Check[] {
  const byId = new Map(events.map((event) => [event.id, event]));
  const byAggregate = Map.groupBy(events, ({ aggregate }) => aggregate);
  const types = new Map<string, Set<string>>();
  for (const event of events) {
    if (event.type !== 'CallCreated') continue;
    types.set(event.about, new Set(byAggregate.get(event.aggregate)!.map(({ type }) => type)));
  }
  const has = (callId: string, type: string): boolean => types.get(callId)?.has(type) ?? false;
  const acknowledged = acknowledgements.flatMap((acknowledgement) =>
    acknowledgement.eventIds.map((id, index, { length }) => ({
      id,
      aggregate: acknowledgement.aggregate,
      version: acknowledgement.version - length + index + 1,
    })),
  );
  const refused = records.filter(({ status }) => status >= 300);
  // Who is sent a BYE knows nothing yet: the call is over when the BYE is answered, for the one who sent it.
  const ended = records.filter(({ plan, completed }) => completed && plan.kind === 'caller hangs up');
  return [
    check('acknowledged events that are there', acknowledged, ({ id, aggregate, version }) => {
      const event = byId.get(id);
      return event?.aggregate === aggregate && event.version === version;
    }),
    check('aggregates with versions 1 … n', [...byAggregate.values()], (own) =>
      own.every(({ version }, index) => version === index + 1),
    ),
    check('calls that reached the callee', [...reached], (callId) => has(callId, 'CallRouted')),
    check(
      'answers that the caller saw',
      records.filter(({ status }) => status === 200),
      ({ callId }) => has(callId, 'CallAnswered'),
    ),
    check('refusals that the caller saw', refused, ({ callId }) => has(callId, 'CallFailed')),
    check('endings that either side saw', [...ended.map(({ callId }) => callId), ...hungUp], (callId) =>
      has(callId, 'CallCompleted'),
    ),
    ...proveConsequences(events),
  ];
}

/** What one aggregate causes in another is sent with its events, and carried out exactly once, also after a kill. */
function proveConsequences(events: readonly EventLine[]): Check[] {
  const times = (type: string): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const event of events) {
      if (event.type === type) counts.set(event.about, (counts.get(event.about) ?? 0) + 1);
    }
    return counts;
  };
  const callsWith = (type: string): string[] =>
    events.filter((event) => event.type === type).map(({ aggregate }) => aggregate.slice('call/'.length));
  const won = times('BidWon');
  const paid = times('BalanceUpdated');
  return [
    check('routed calls with one bid won', callsWith('CallRouted'), (callId) => won.get(callId) === 1),
    check('completed calls paid once', callsWith('CallCompleted'), (callId) => paid.get(callId) === 1),
  ];
}

function check<Item>(what: string, items: readonly Item[], holds: (item: Item) => boolean): Check {
  const wrong = items.filter((item) => !holds(item)).map((item) => JSON.stringify(item).slice(0, 200));
  return { what, checked: items.length, wrong };
}
