// The decisions of the example's aggregates, by the test kit: no threads, no files.
import fc from 'fast-check';
import { Rejected } from 'trunkline';
import { given } from 'trunkline/testing';
import { describe, expect, test } from 'vitest';
import { Account } from '../../examples/call-routing/domain/account.ts';
import { Bid } from '../../examples/call-routing/domain/bid.ts';
import type { PlaceCall } from '../../examples/call-routing/domain/call.ts';
import { Call } from '../../examples/call-routing/domain/call.ts';
import { costMicros, fromMicros, toMicros } from '../../examples/call-routing/domain/money.ts';

const created = { type: 'CallCreated', data: { sipCallId: 'sip', accountId: 'ann', called: '4412' } } as const;
const routed = { type: 'CallRouted', data: { bidId: 'b', trunk: 'west', ratePerMinute: '0.09' } } as const;
const answered = { type: 'CallAnswered', data: {} } as const;

function placing(change: Partial<PlaceCall> = {}): PlaceCall {
  const bids = [{ bidId: 'a', trunk: 'east', ratePerMinute: '0.1' }, routed.data];
  return { ...created.data, standing: { isActive: true, availableMicros: 90_000 }, bids, ...change };
}

describe('placing a call', () => {
  test('the cheapest bid wins, and each bid is told', () => {
    const { value, sent } = given(Call, [], { id: 'one' }).when.place(placing()).then([created, routed]);
    expect(value).toMatchObject({ kind: 'route', trunk: 'west' });
    expect(sent.map(({ id, command, input }) => [id, command, input])).toEqual([
      ['a', 'lose', ['one']],
      ['b', 'win', ['one']],
    ]);
  });

  test('of equal bids the first wins', () => {
    const bids = ['0.10', '0.1', '0.100'].map((ratePerMinute, index) => ({
      bidId: `${index}`,
      trunk: 't',
      ratePerMinute,
    }));
    const standing = { isActive: true, availableMicros: 100_000 };
    const { events } = given(Call).when.place(placing({ bids, standing })).then(['CallCreated', 'CallRouted']);
    expect(events[1]?.data).toMatchObject({ bidId: '0' });
  });

  test.each([
    ['nobody knows the account', { standing: undefined }, 403, 'unknown-account'],
    ['it is suspended', { standing: { isActive: false, availableMicros: 1e9 } }, 403, 'account-suspended'],
    ['a micro-unit is missing', { standing: { isActive: true, availableMicros: 89_999 } }, 402, 'insufficient-credit'],
    ['there is no bid', { bids: [] }, 404, 'no-route'],
  ] as const)('refused if %s', (_, change, status, reason) => {
    const failed = { type: 'CallFailed', data: { status, reason } } as const;
    const { value, sent } = given(Call).when.place(placing(change)).then([created, failed]);
    expect(value).toEqual({ kind: 'refuse', status });
    expect(sent).toEqual([]);
  });

  test('once', () => {
    given(Call, [created]).when.place(placing()).then(new Rejected('call-exists'));
  });
});

describe('the rest of a call', () => {
  test('completing charges the account by the started second', () => {
    const outcome = given(Call, [created, routed, answered], { id: 'one' })
      .when.complete({ durationMs: 60_001, endedBy: 'caller', coveredMs: 120_000 })
      .then([
        { type: 'CallCompleted', data: { durationMs: 60_001, billedSeconds: 61, cost: '0.0915', endedBy: 'caller' } },
      ]);
    expect(outcome.sent).toMatchObject([{ id: 'ann', command: 'charge', input: [{ callId: 'one', cost: '0.0915' }] }]);
  });

  test('no more is charged than was held: the first minute, unless the desk says more', () => {
    const { events } = given(Call, [created, routed, answered])
      .when.complete({ durationMs: 14_400_000, endedBy: 'nobody' })
      .then(['CallCompleted']);
    expect(events[0]?.data).toMatchObject({ durationMs: 14_400_000, billedSeconds: 60, cost: '0.09' });
  });

  test('steps out of order are refused', () => {
    given(Call).when.answer().then(new Rejected('call-not-routed'));
    given(Call, [created, routed])
      .when.complete({ durationMs: 1, endedBy: 'callee' })
      .then(new Rejected('call-not-answered'));
    const failed = { type: 'CallFailed', data: { status: 486, reason: 'refused-by-trunk' } } as const;
    given(Call, [created, routed, failed])
      .when.fail({ status: 408, reason: 'not-answered' })
      .then(new Rejected('call-over'));
    const placed = given(Call).when.place(placing());
    placed.after(299_999).then([]);
    placed.after(300_000).then([{ type: 'CallFailed', data: { status: 408, reason: 'not-answered' } }]);
    given(Call, [created, routed, answered]).when.giveUp().then([]);
    given(Call, [created, routed, failed]).when.answer().then(new Rejected('call-not-routed'));
  });
});

describe('accounts and bids', () => {
  const account = { type: 'AccountCreated', data: { name: 'Ann', currency: 'EUR' } } as const;

  test('balances are exact decimals', () => {
    const deposited = { type: 'BalanceUpdated', data: { amount: '0.3', balance: '0.30', reason: 'deposit' } } as const;
    given(Account, [account, deposited])
      .when.charge({ callId: 'one', cost: '0.1' })
      .then([{ type: 'BalanceUpdated', data: { amount: '-0.10', balance: '0.20', reason: 'call', callId: 'one' } }]);
  });

  test('a balance may have ten digits; beyond what is exact a deposit is refused, and the account goes on', () => {
    const full = {
      type: 'BalanceUpdated',
      data: { amount: '1.00', balance: '9007199253.00', reason: 'deposit' },
    } as const;
    given(Account, [account, full])
      .when.deposit('2.00')
      .then(new Rejected('balance-too-large', { amount: '2.00' }));
    const charged = given(Account, [account, full])
      .when.charge({ callId: 'one', cost: '3.00' })
      .then(['BalanceUpdated']);
    expect(charged.events[0]?.data).toMatchObject({ balance: '9007199250.00' });
  });

  test('what an account refuses', () => {
    given(Account).when.deposit('1.00').then(new Rejected('no-such-account'));
    given(Account, [account])
      .when.deposit('-1.00')
      .then(new Rejected('not-a-deposit', { amount: '-1.00' }));
    given(Account, [account]).when.create({ name: 'Ann', currency: 'EUR' }).then(new Rejected('account-exists'));
    given(Account, [account]).when.suspend('why not').then(new Rejected('account-not-active'));
  });

  test('a bid is for digits, at a price that is not below nothing', () => {
    const offer = { trunk: 't', prefix: '44', ratePerMinute: '0.1' };
    given(Bid).when.place(offer).then(['BidPlaced']);
    for (const wrong of [{ prefix: '+44' }, { ratePerMinute: '-0.1' }]) {
      expect(() =>
        given(Bid)
          .when.place({ ...offer, ...wrong })
          .then(['BidPlaced']),
      ).toThrow(/must be/);
    }
  });

  test('a bid expires once, and is told of its calls even then', () => {
    const placed = { type: 'BidPlaced', data: { trunk: 't', prefix: '44', ratePerMinute: '0.1' } } as const;
    const expired = { type: 'BidExpired', data: {} } as const;
    given(Bid, [placed]).when.expire().then([expired]);
    given(Bid, [placed]).when.withdraw(50).then([]);
    given(Bid, [placed]).when.withdraw(50).after(49).then([]);
    given(Bid, [placed]).when.withdraw(50).after(50).then([expired]);
    given(Bid, [placed, expired]).when.expire().then([]);
    given(Bid, [placed, expired]).when.update('0.2').then(new Rejected('bid-not-live'));
    given(Bid, [placed, expired])
      .when.win('one')
      .then([{ type: 'BidWon', data: { callId: 'one' } }]);
  });
});

describe('money', () => {
  test('micro-units survive the way to text and back', () => {
    fc.assert(fc.property(fc.integer({ min: -1e14, max: 1e14 }), (micros) => toMicros(fromMicros(micros)) === micros));
    expect([fromMicros(0), fromMicros(-1), fromMicros(1_500_000), fromMicros(1_666_700)]).toEqual([
      '0.00',
      '-0.000001',
      '1.50',
      '1.6667',
    ]);
  });

  test('what is no amount is refused', () => {
    for (const text of ['', '1.', '.5', '1e3', '1.0000001', '1234567890', ' 1', '+1', 'NaN']) {
      expect(() => toMicros(text)).toThrow(RangeError);
    }
  });

  test('costs round up, and a call costs at least a second', () => {
    expect(costMicros('0.1', 0)).toBe(1_667);
    expect(costMicros('0.1', 60_000)).toBe(100_000);
  });
});
