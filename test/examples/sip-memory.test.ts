// What a message costs: of what was sent and received only little is kept, and how much of it each account may have kept is bounded
// in bytes, not only in number.
import { Buffer } from 'node:buffer';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Admission } from '../../examples/call-routing/proxy/admission.ts';
import { NonceUse } from '../../examples/call-routing/proxy/nonce-use.ts';
import type { ProxyOptions, SipProxy } from '../../examples/call-routing/proxy/proxy.ts';
import { calleeSide, callerSide } from '../../examples/call-routing/proxy/sides.ts';
import { ClientTransaction } from '../../examples/call-routing/sip/client-transaction.ts';
import type { ReceivedRequest, ReceivedResponse } from '../../examples/call-routing/sip/message.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import { parseMessage } from '../../examples/call-routing/sip/parse.ts';
import { ServerTransaction } from '../../examples/call-routing/sip/server-transaction.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import { fresh, inviteText, laterText, Phone } from './phone.ts';
import { startProxy } from './proxy-stub.ts';

const patience = { timeout: 20_000 };
const from = { host: '127.0.0.1', port: 5060 };
const timers = makeTimers(60_000);
const account = 'an-account-with-a-long-name';
const padding = Array.from({ length: 24 }, (_, index) => `X-Padding-${index}: ${'x'.repeat(500)}`);
const peer = { host: from.host, accounts: [account, 'another'] };

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Some 12 KiB of headers. */
function large(): ReceivedRequest {
  const text = inviteText({
    from: account,
    to: '4412',
    port: 5060,
    headers: padding,
    callId: fresh('a-call-of-some-length'),
  });
  return parseMessage(Buffer.from(text, 'latin1')) as ReceivedRequest;
}

function answerTo({ headers }: ReceivedRequest): ReceivedResponse {
  const copied = headers.filter(({ key }) => ['via', 'from', 'call-id', 'cseq'].includes(key));
  const lines = copied.map(({ name, value }) => `${name}: ${value}`);
  const own = ['To: <sip:4412@127.0.0.1>;tag=a-tag-of-some-length', 'Contact: <sip:somebody@127.0.0.1:5060>'];
  const text = ['SIP/2.0 180 Ringing', ...lines, ...own, ...padding, '', ''].join('\r\n');
  return parseMessage(Buffer.from(text, 'latin1')) as ReceivedResponse;
}

function serverTransaction(): ServerTransaction {
  const transaction = new ServerTransaction(large(), timers, { send() {}, answered() {}, settled() {} });
  transaction.respondWith(486, 'tag');
  transaction.acknowledge();
  return transaction;
}

function clientTransaction(): ClientTransaction {
  const request = large();
  const port = { send() {}, keep() {}, response() {}, timeout() {} };
  const transaction = new ClientTransaction(request, from, timers, port);
  transaction.start();
  transaction.receive(answerTo(request));
  return transaction;
}

const admission = new Admission({ peers: [peer] });
const used = new NonceUse(1e9);

const keepers: [string, (index: number) => unknown][] = [
  ['a received request that is answered', serverTransaction],
  ['a request that was sent and rings', clientTransaction],
  ["a call's caller", () => callerSide(large(), from)],
  ["a call's callee", () => calleeSide(answerTo(large()), from, 'sip:x@y', 0)],
  [
    'a body',
    () => {
      const text = inviteText({ from: 'ann', to: '4412', port: 5060, headers: padding });
      return parseMessage(Buffer.from(text, 'latin1')).body;
    },
  ],
  [
    'an account that was chosen by name',
    () => {
      const admitted = admission.admit(large(), from);
      return admitted.kind === 'payer' ? admitted.account : expect.unreachable();
    },
  ],
  [
    'a nonce',
    (index) => {
      const { callId } = large().envelope;
      used.take(`user-${index}`, callId, 1, 1);
      return callId.length;
    },
  ],
];

test.each(keepers)('%s keeps little of its message', (_, keep) => {
  const count = 200;
  keep(-1);
  collect();
  const before = process.memoryUsage();
  const kept = Array.from({ length: count }, (_, index) => keep(index));
  collect();
  collect();
  const after = process.memoryUsage();
  const each = (after.heapUsed + after.external - before.heapUsed - before.external) / kept.length;
  expect(each).toBeLessThan(6_000);
});

describe('an account', () => {
  let ann: Phone;
  let eve: Phone;
  let trunk: Phone;
  let proxy: SipProxy | undefined;

  beforeEach(async () => {
    [ann, eve, trunk] = await Promise.all([Phone.open(), Phone.open(), Phone.open()]);
  });

  afterEach(async () => {
    await proxy?.stop();
    await Promise.all([ann, eve, trunk].map((phone) => phone[Symbol.asyncDispose]()));
  });

  async function start(options: Partial<ProxyOptions>): Promise<number> {
    const peers = [
      { host: '127.0.0.1', port: ann.port, accounts: ['acme'] },
      { host: '127.0.0.1', port: eve.port, accounts: ['hooli'] },
    ];
    proxy = await startProxy(trunk.port, {}, { admission: { peers }, ...options });
    return proxy.address.port;
  }

  function largeInvite(phone: Phone): string {
    return inviteText({ from: 'x', to: '4412', port: phone.port, headers: padding });
  }

  test('that sends large messages has room for few: it gets 503, others call, and what was answered is given back', async () => {
    const port = await start({ timers: makeTimers(5), transactionsLimit: 64, transactionsPerAccount: 16 });
    const share = 16 * 8_192;
    for (let call = 0; call < 12; call++) eve.send(largeInvite(eve), port);
    expect(headerValue(await eve.response(503), 'retry-after')).toBe('1');
    const { transactionBytes, transactions } = proxy!.counters;
    expect(transactionBytes).toBeLessThanOrEqual(share);
    expect(transactions).toBeGreaterThan(1);
    ann.send(inviteText({ from: 'a', to: '4412', port: ann.port }), port);
    await ann.response(100);
    await expect
      .poll(() => proxy!.counters, patience)
      .toMatchObject({
        ...{ transactions: 0, transactionBytes: 0, calls: 0, callBytes: 0 },
      });
    expect(proxy!.counters.overloadRefused).toBeGreaterThan(0);
  });

  test('keeps no long names in a call: the caller gets 513, a called party is not followed', async () => {
    const port = await start({});
    const text = inviteText({ from: 'x', to: '4412', port: eve.port });
    eve.send(text.replace('tag=from', `tag=${'f'.repeat(4_200)}`), port);
    await eve.response(513);
    const routes = Array.from({ length: 50 }, (_, index) => `Record-Route: <sip:${'p'.repeat(90)}${index}>`);
    eve.send(inviteText({ from: 'x', to: '4412', port: eve.port, headers: routes }), port);
    await expect
      .poll(() => eve.received.filter((one) => one.kind === 'response' && one.status === 513))
      .toHaveLength(2);
    expect(proxy!.counters).toMatchObject({ calls: 0, transactions: 0 });
    ann.send(inviteText({ from: 'a', to: '4412', port: ann.port }), port);
    const arrived = await trunk.request('INVITE');
    trunk.answer(arrived, 180, port, 't'.repeat(4_200));
    trunk.answer(arrived, 180, port, 'short');
    expect((await ann.response(180)).envelope.toTag).toBe('short');
  });

  test('that cancels a re-INVITE again and again has it cancelled once, and nothing of it is repeated for ever', async () => {
    const port = await start({ timers: makeTimers(60_000) });
    const text = inviteText({ from: 'a', to: '4412', port: ann.port });
    ann.send(text, port);
    trunk.answer(await trunk.request('INVITE'), 200, port);
    const to = headerValue(await ann.response(200), 'to')!;
    const again = laterText('INVITE', text, { to, sequence: 2, branch: 'again' });
    ann.send(again, port);
    await expect.poll(() => trunk.count('INVITE'), patience).toBe(2);
    const asked = trunk.received.findLast((one) => one.kind === 'request' && one.method === 'INVITE');
    trunk.answer(asked as ReceivedRequest, 180, port);
    await ann.response(180);
    for (let copy = 0; copy < 5; copy++) {
      ann.send(laterText('CANCEL', text, { to, sequence: 2, branch: 'again' }), port);
    }
    await expect
      .poll(() => ann.received.filter(({ envelope }) => envelope.method === 'CANCEL').length, patience)
      .toBe(5);
    // An answer to the trunk comes behind whatever was sent to it before.
    const ping = inviteText({ from: 'x', to: '4412', port: trunk.port }).replaceAll('INVITE', 'OPTIONS');
    trunk.send(ping, port);
    await trunk.response(200, 'OPTIONS');
    expect(trunk.received.filter((one) => one.kind === 'request' && one.method === 'CANCEL')).toHaveLength(1);
  });
});
