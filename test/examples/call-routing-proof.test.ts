// The proof at the end of the demo can fail: each thing it checks, broken, is named.
import { expect, test } from 'vitest';
import type { Acknowledgement, EventLine } from '../../examples/call-routing/control.ts';
import { readAcknowledgement } from '../../examples/call-routing/control.ts';
import type { Witnesses } from '../../examples/call-routing/report/proof.ts';
import { prove } from '../../examples/call-routing/report/proof.ts';
import { planCall } from '../../examples/call-routing/traffic/plan.ts';

const line = (aggregate: string, version: number, type: string, about = ''): EventLine => {
  return { id: `${aggregate}-${version}`, aggregate, version, type, about };
};

const events: readonly EventLine[] = [
  line('call/1', 1, 'CallCreated', 'sip-1'),
  line('call/1', 2, 'CallRouted'),
  line('bid/b', 1, 'BidWon', '1'),
  line('call/1', 3, 'CallAnswered'),
  line('call/1', 4, 'CallCompleted'),
  line('account/a', 1, 'BalanceUpdated', '1'),
  line('call/2', 1, 'CallCreated', 'sip-2'),
  line('call/2', 2, 'CallFailed'),
  line('call/3', 1, 'CallCreated', 'sip-3'),
  line('call/3', 2, 'CallCompleted'),
  line('account/a', 2, 'BalanceUpdated', '3'),
];

const acknowledgements: readonly Acknowledgement[] = [
  'call/1 2 call/1-1,call/1-2',
  'call/1 3 call/1-3',
  'call/1 4 call/1-4',
  'call/2 2 call/2-1,call/2-2',
].map(readAcknowledgement);

const plan = planCall(0);

const witnesses: Witnesses = {
  acknowledgements,
  reached: new Set(['sip-1']),
  hungUp: new Set(['sip-3']),
  records: [
    { callId: 'sip-1', plan: { ...plan, kind: 'caller hangs up' }, status: 200, completed: true },
    { callId: 'sip-2', plan: { ...plan, kind: 'no route' }, status: 404, completed: false },
    { callId: 'cut off', plan, status: 0, completed: false },
  ],
};

function broken(events: readonly EventLine[], seen: Partial<Witnesses> = {}): string[] {
  const checks = prove(events, { ...witnesses, ...seen });
  return checks.filter(({ wrong }) => wrong.length > 0).map(({ what }) => what);
}

test('whole', () => {
  expect(broken(events)).toEqual([]);
  expect(prove(events, witnesses).map(({ checked }) => checked)).toEqual([6, 5, 1, 1, 1, 2, 1, 2]);
});

test.each([
  ['an acknowledged event is gone', events.toSpliced(3, 1), 'acknowledged events that are there'],
  ['a version is missing', events.toSpliced(3, 1), 'aggregates with versions 1 … n'],
  ['a version is there twice', [...events, line('bid/b', 1, 'BidLost', '3')], 'aggregates with versions 1 … n'],
  [
    'versions are out of order',
    [...events, line('bid/b', 3, 'BidLost'), line('bid/b', 2, 'BidLost')],
    'aggregates with',
  ],
  ['a routed call is not', events.toSpliced(1, 1), 'calls that reached the callee'],
  ['an answer is not', events.toSpliced(3, 1), 'answers that the caller saw'],
  ['an ending is not', events.toSpliced(4, 1), 'endings that either side saw'],
  ['what the callee hung up is not over', events.toSpliced(9, 1), 'endings that either side saw'],
  ['a refusal is not', events.toSpliced(7, 1), 'refusals that the caller saw'],
  ['no bid has won', events.toSpliced(2, 1), 'routed calls with one bid won'],
  ['a call is paid twice', [...events, line('account/a', 3, 'BalanceUpdated', '1')], 'completed calls paid once'],
])('%s', (_, events, what) => {
  expect(broken(events)).toContainEqual(expect.stringContaining(what));
});

test('an acknowledged event in another place', () => {
  const moved = events.map((event) =>
    event.id === 'call/1-3' ? { ...event, aggregate: 'call/2', version: 3 } : event,
  );
  expect(broken(moved)).toContain('acknowledged events that are there');
});

test('what was seen and never acknowledged', () => {
  expect(broken(events, { reached: new Set(['sip-1', 'sip-2']) })).toEqual(['calls that reached the callee']);
});

test('a BYE that reached the caller says nothing yet', () => {
  const record = { callId: 'sip-9', plan: { ...plan, kind: 'callee hangs up' }, status: 0, completed: true } as const;
  expect(broken(events, { records: [...witnesses.records, record] })).toEqual([]);
});
