// The proxy against its port: nothing that others can see leaves before the desk has answered, and what the desk could not
// record has not happened. And its bounds: tables fill, are freed, and say so.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Decision, RoutingDesk } from '../../examples/call-routing/proxy/desk.ts';
import type { SipProxy } from '../../examples/call-routing/proxy/proxy.ts';
import { headerValue, type ReceivedRequest } from '../../examples/call-routing/sip/message.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import { fresh, inviteText, laterText, Phone } from './phone.ts';
import { startProxy } from './proxy-stub.ts';

/** For what is waited for by looking again and again. */
const patience = { timeout: 20_000 };

let ann: Phone;
let trunk: Phone;
let proxy: SipProxy | undefined;
let failures: unknown[];

beforeEach(async () => {
  [ann, trunk] = await Promise.all([Phone.open(), Phone.open()]);
  failures = [];
});

afterEach(async () => {
  await proxy?.stop();
  await Promise.all([ann, trunk].map((phone) => phone[Symbol.asyncDispose]()));
});

async function start(desk: Partial<RoutingDesk>, { t1Ms = 500, limit = 100 } = {}): Promise<number> {
  proxy = await startProxy(trunk.port, desk, {
    timers: makeTimers(t1Ms),
    transactionsLimit: limit,
    transactionsPerAccount: limit,
    failed: (error) => failures.push(error),
  });
  return proxy.address.port;
}

function invite(): string {
  return inviteText({ from: 'ann', to: '4412', port: ann.port });
}

/** When its answer is here, everything sent before it has been taken in, and everything it caused has been sent. */
async function exchange(port: number): Promise<void> {
  ann.send(invite().replaceAll('INVITE', 'OPTIONS'), port);
  await ann.response(200, 'OPTIONS');
}

test('the INVITE waits for the decision, the 2xx for the answer being recorded', async () => {
  const decision = Promise.withResolvers<Decision>();
  const recorded = Promise.withResolvers<void>();
  const port = await start({ place: () => decision.promise, answered: () => recorded.promise });
  ann.send(invite(), port);
  await exchange(port);
  expect(trunk.count('INVITE')).toBe(0);
  decision.resolve({ kind: 'route', trunk: 'trunk', address: { host: '127.0.0.1', port: trunk.port } });
  const arrived = await trunk.request('INVITE');
  trunk.answer(arrived, 180, port);
  trunk.answer(arrived, 200, port);
  trunk.answer(arrived, 200, port);
  await ann.response(180);
  const isAnswered = (): boolean =>
    ann.received.some(({ envelope, ...m }) => {
      return m.kind === 'response' && m.status === 200 && envelope.method === 'INVITE';
    });
  // Behind the 200 on the same socket: when it is answered, the 200 has been taken in.
  trunk.send(invite().replaceAll('INVITE', 'OPTIONS').replace(`:${ann.port};branch`, `:${trunk.port};branch`), port);
  await trunk.response(200, 'OPTIONS');
  await exchange(port);
  expect(isAnswered()).toBe(false);
  recorded.resolve();
  await ann.response(200);
});

test('a decision that cannot be recorded is 503, and no INVITE leaves', async () => {
  const port = await start({ place: async () => Promise.reject(new Error('the log is full')) });
  ann.send(invite(), port);
  expect(headerValue(await ann.response(503), 'retry-after')).toBe('1');
  expect(trunk.count('INVITE')).toBe(0);
  expect(failures.map(String)).toEqual(['Error: the log is full']);
});

test('an answer that cannot be recorded does not reach the caller', async () => {
  const port = await start({ answered: async () => Promise.reject(new Error('the log is full')) });
  ann.send(invite(), port);
  trunk.answer(await trunk.request('INVITE'), 200, port);
  await ann.response(503);
  expect(failures).toHaveLength(1);
});

test('a decision that comes after the CANCEL is not carried out', async () => {
  const decision = Promise.withResolvers<Decision>();
  const failed: number[] = [];
  const port = await start({ place: () => decision.promise, failed: async (_, status) => void failed.push(status) });
  const text = invite();
  ann.send(text, port);
  const branch = /branch=z9hG4bK-(\S+)/.exec(text)![1]!;
  ann.send(laterText('CANCEL', text, { to: '<sip:4412@127.0.0.1>', sequence: 1, branch }), port);
  await ann.response(200, 'CANCEL');
  decision.resolve({ kind: 'route', trunk: 'trunk', address: { host: '127.0.0.1', port: trunk.port } });
  await ann.response(487);
  expect(failed).toEqual([487]);
  expect(trunk.count('INVITE')).toBe(0);
});

test('BYEs that cross each other complete the call once', async () => {
  const completed: string[] = [];
  const port = await start({ completed: async (_, { endedBy }) => void completed.push(endedBy) });
  const text = invite();
  ann.send(text, port);
  trunk.answer(await trunk.request('INVITE'), 200, port);
  const to = headerValue(await ann.response(200), 'to')!;
  ann.send(laterText('BYE', text, { to, sequence: 2 }), port);
  const fromAnn = await trunk.request('BYE');
  const from = headerValue(fromAnn, 'from')!;
  const crossing = laterText('BYE', text, { to: from, sequence: 1 })
    .replace(/^Via: .*$/m, `Via: SIP/2.0/UDP 127.0.0.1:${trunk.port};branch=z9hG4bK-${fresh('bye')}`)
    .replace(/^From: .*$/m, `From: ${to}`);
  trunk.send(crossing, port);
  const fromTrunk = await ann.request('BYE');
  trunk.answer(fromAnn, 200, port);
  ann.answer(fromTrunk, 200, port);
  await Promise.all([ann.response(200, 'BYE'), trunk.response(200, 'BYE')]);
  expect(completed).toEqual(['caller']);
});

/** A call that rings, and the caller's BYE into the dialog of the phone that rings; neither is answered yet. */
async function hangUpWhileRinging(port: number): Promise<{ arrived: ReceivedRequest; bye: ReceivedRequest }> {
  const text = invite();
  ann.send(text, port);
  const arrived = await trunk.request('INVITE');
  trunk.answer(arrived, 180, port);
  const to = headerValue(await ann.response(180), 'to')!;
  ann.send(laterText('BYE', text, { to, sequence: 2 }), port);
  return { arrived, bye: await trunk.request('BYE') };
}

test.for([
  [200, 'other'],
  [481, 'to'],
  [200, 'to'],
] as const)(
  'a BYE before the answer stops no clock: the call is ended when its money is spent (%i, %s answers)',
  async ([status, answering]) => {
    const completed: string[] = [];
    const port = await start({
      coveredMs: () => 50,
      completed: async (_, { endedBy }) => void completed.push(endedBy),
    });
    const { arrived, bye } = await hangUpWhileRinging(port);
    trunk.answer(bye, status, port);
    await ann.response(status, 'BYE');
    trunk.answer(arrived, 200, port, answering);
    await ann.response(200);
    await expect.poll(() => completed, patience).toEqual(['credit']);
  },
);

test.for(['other', 'to'])(
  'the late answer to a BYE ends the call only if its dialog is the one that was answered (%s)',
  async (answering) => {
    const completed: string[] = [];
    const port = await start({ completed: async (_, { endedBy }) => void completed.push(endedBy) });
    const { arrived, bye } = await hangUpWhileRinging(port);
    trunk.answer(arrived, 200, port, answering);
    await ann.response(200);
    trunk.answer(bye, 200, port);
    await ann.response(200, 'BYE');
    expect([answering, completed]).toEqual([answering, answering === 'to' ? ['caller'] : []]);
    if (answering === 'to') {
      await ann.request('BYE'); // the router ends both sides: the callee has answered, the caller may have taken that answer
      await expect.poll(() => trunk.count('BYE'), patience).toBe(2);
    }
  },
);

test('an answer that crosses a BYE costs nothing, whenever that BYE is answered, and with what', async () => {
  const completed: unknown[] = [];
  const port = await start({ completed: async (_, ending) => void completed.push(ending) });
  const { arrived, bye } = await hangUpWhileRinging(port);
  trunk.answer(arrived, 200, port);
  await Promise.all([ann.response(200), ann.request('BYE')]);
  await expect.poll(() => trunk.count('BYE'), patience).toBe(2);
  expect(completed).toEqual([{ endedBy: 'caller', durationMs: 0 }]);
  trunk.answer(bye, 407, port);
  await ann.response(481, 'BYE');
  expect([completed.length, proxy!.counters.calls]).toEqual([1, 0]);
});

test('a full table refuses with 503 what it cannot hold, counts it, and has room again later', async () => {
  const port = await start({ place: async () => ({ kind: 'refuse', status: 404 }) }, { t1Ms: 10, limit: 3 });
  for (let call = 0; call < 5; call++) ann.send(invite(), port);
  expect(headerValue(await ann.response(503), 'retry-after')).toBe('1');
  await ann.response(404);
  await expect.poll(() => proxy!.counters.overloadRefused, patience).toBe(2);
  const refused = (): Set<string> =>
    new Set(
      ann.received.filter((m) => m.kind === 'response' && m.status === 404).map(({ envelope }) => envelope.callId),
    );
  await expect
    .poll(() => {
      ann.send(invite(), port);
      return refused().size;
    }, patience)
    .toBeGreaterThan(3);
});
