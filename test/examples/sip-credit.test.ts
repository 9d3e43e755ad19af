// Money while calls last: held slice by slice, never more than there is, and given back to the micro-unit.
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { Account } from '../../examples/call-routing/domain/account.ts';
import { costMicros, fromMicros } from '../../examples/call-routing/domain/money.ts';
import { CallRates } from '../../examples/call-routing/proxy/call-rates.ts';
import { Credit } from '../../examples/call-routing/routing/credit.ts';
import { LiveStates } from '../../examples/call-routing/routing/live-states.ts';
import { RefusalLimit } from '../../examples/call-routing/routing/refusal-limit.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import { fresh } from './phone.ts';
import { patience, Scene } from './scene.ts';

let scene: Scene | undefined;

afterEach(async () => {
  await scene?.[Symbol.asyncDispose]();
});

/** Accounts as the router knows them, from events made by hand. */
function accountsWith(balances: Readonly<Record<string, string>>): LiveStates<typeof Account> {
  const accounts = new LiveStates(Account);
  for (const [aggregateId, balance] of Object.entries(balances)) {
    const event = { aggregateType: 'account', aggregateId } as const;
    const apply = (version: number, type: string, data: object): void =>
      accounts.apply({ ...event, version, type, data } as never);
    apply(1, 'AccountCreated', { name: aggregateId, currency: 'EUR' });
    apply(2, 'AccountActivated', {});
    apply(3, 'BalanceUpdated', { amount: balance, balance, reason: 'deposit' });
  }
  return accounts;
}

test('a call may last exactly as long as the account can pay for', () => {
  const credit = new Credit(accountsWith({ ann: '10.00' }));
  credit.hold('one', 'ann', [{ ratePerMinute: '6.00' }, { ratePerMinute: '7.50' }]);
  expect(credit.standing('ann')?.availableMicros).toBe(2_500_000);
  credit.settle('one', '6.00');
  expect([credit.coveredMs('one'), credit.standing('ann')?.availableMicros]).toEqual([60_000, 4_000_000]);
  expect([credit.extend('one'), credit.coveredMs('one')]).toEqual([true, 100_000]);
  expect([credit.extend('one'), credit.standing('ann')?.availableMicros]).toEqual([false, 0]);
  credit.release('one');
  expect(credit.standing('ann')?.availableMicros).toBe(10_000_000);
});

test('calls that take turns never hold more than there is, and all of it comes back', () => {
  const rate = fc.integer({ min: 0, max: 9_000_000 }).map(fromMicros);
  const step = fc.record({ call: fc.nat(5), act: fc.constantFrom('hold', 'extend', 'extend', 'release'), rate });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60_000_000 }), fc.array(step, { maxLength: 60 }), (micros, steps) => {
      const credit = new Credit(accountsWith({ ann: fromMicros(micros) }), 7_000);
      const rates = new Map<string, string>();
      for (const { call, act, rate } of steps) {
        const id = `c${call}`;
        if (act === 'release') {
          credit.release(id);
          rates.delete(id);
        } else if (act === 'extend') credit.extend(id);
        else if (!rates.has(id) && costMicros(rate, 7_000) <= credit.standing('ann')!.availableMicros) {
          credit.hold(id, 'ann', [{ ratePerMinute: rate }]);
          credit.settle(id, rate);
          rates.set(id, rate);
        }
        const charged = [...rates].map(([id, rate]) => costMicros(rate, credit.coveredMs(id)));
        const total = charged.reduce((sum, cost) => sum + cost, 0);
        expect(total).toBeLessThanOrEqual(micros);
        expect(credit.standing('ann')!.availableMicros).toBe(micros - total);
      }
      for (const id of rates.keys()) credit.release(id);
      expect(credit.standing('ann')!.availableMicros).toBe(micros);
    }),
  );
});

test('an account that nobody knows holds nothing', () => {
  const credit = new Credit(accountsWith({}));
  expect(credit.hold('one', 'nobody', [{ ratePerMinute: '6.00' }])).toBe(true);
  expect([credit.coveredMs('one'), credit.extend('one'), credit.standing('nobody')]).toEqual([0, false, undefined]);
});

test('calls that nobody answers are limited, ringing ones among them; answered ones make room for more', () => {
  const limit = new RefusalLimit(2);
  const now = performance.now();
  const begin = (callId: string, account = 'ann', at = now): string => limit.begin(callId, account, at);
  expect([begin('1'), begin('2'), begin('2'), begin('3'), begin('3', 'bob')]).toEqual([
    ...['begun', 'begun', 'known', 'refused', 'begun'],
  ]);
  limit.end('1', 'unanswered');
  limit.end('1', 'unanswered');
  expect(begin('4')).toBe('refused');
  limit.end('2', 'unwritten');
  expect([begin('5'), begin('6')]).toEqual(['begun', 'refused']);
  limit.end('5', 'answered');
  expect(Array.from({ length: 7 }, (_, index) => begin(`more-${index}`))).toEqual([
    ...Array(5).fill('begun'),
    ...['refused', 'refused'],
  ]);
  // What rings still counts in the next minute, and so does what was answered in this one.
  expect([begin('7', 'ann', now + 60_001), begin('8', 'ann', now + 60_001)]).toEqual(['begun', 'refused']);
  expect(begin('9', 'ann', now + 300_000)).toBe('refused');
  expect(limit.unrecorded).toBe(7);
});

test('an account begins so many calls a second', () => {
  const rates = new CallRates();
  const taken = (account: string, at: number): number => {
    return Array.from({ length: 20 }, () => rates.take(account, 10, at)).filter(Boolean).length;
  };
  expect([taken('ann', 0), taken('ann', 500), taken('bob', 500), taken('ann', 60_000)]).toEqual([10, 5, 10, 10]);
});

test('a call whose money is spent is ended, both sides get a BYE, and the account is never below what it may be', async () => {
  scene = await Scene.open(makeTimers(), { creditSliceMs: 1_000, refusalsPerMinute: 1 });
  // 0.15 in all; 3.00 a minute is 0.05 a second.
  const callId = fresh('call');
  scene.ann.send(scene.invite({ callId, from: 'poor', to: '4912' }), scene.port);
  scene.dear.answer(await scene.dear.request('INVITE', callId), 200, scene.port);
  const [toCaller, toCallee] = await Promise.all([scene.ann.request('BYE', callId), scene.dear.request('BYE', callId)]);
  scene.ann.answer(toCaller, 200, scene.port);
  scene.dear.answer(toCallee, 200, scene.port);
  await expect
    .poll(async () => (await scene!.eventsOf(callId)).find(({ type }) => type === 'BalanceUpdated')?.data, patience)
    .toMatchObject({ amount: '-0.15', balance: '-0.10' });
  const ending = (await scene.eventsOf(callId)).find(({ type }) => type === 'CallCompleted')!.data;
  expect(ending).toMatchObject({ billedSeconds: 3, cost: '0.15', endedBy: 'credit' });

  // In the same scene: an account that is refused again and again does not fill the log.
  const [first, second] = [fresh('refused'), fresh('refused')];
  scene.ann.send(scene.invite({ callId: first, from: 'late' }), scene.port);
  await scene.ann.response(403);
  scene.ann.send(scene.invite({ callId: second, from: 'late' }), scene.port);
  await scene.ann.response(503);
  expect([await scene.typesOf(first), await scene.typesOf(second)]).toEqual([['CallCreated', 'CallFailed'], []]);
  expect(scene.router.report().counters.refusalsUnrecorded).toBe(1);
  const other = fresh('call');
  scene.ann.send(scene.invite({ callId: other }), scene.port);
  const ringing = await scene.cheap.request('INVITE', other);

  // Nor does one whose calls ring, or are refused by the trunk.
  const [third, fourth] = [fresh('refused'), fresh('refused')];
  for (const [callId, ends] of [
    [third, false],
    [fourth, true],
  ] as const) {
    if (ends) scene.cheap.answer(ringing, 486, scene.port);
    if (ends) await scene.ann.response(486);
    scene.ann.received.length = 0;
    scene.ann.send(scene.invite({ callId }), scene.port);
    await scene.ann.response(503);
    expect(await scene.typesOf(callId)).toEqual([]);
  }
  expect(await scene.typesOf(other)).toEqual(['CallCreated', 'CallRouted', 'CallFailed']);
});
