// Who may call: known by address, or by a password that never travels. Everybody else leaves nothing behind.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DigestOptions } from '../../examples/call-routing/proxy/digest.ts';
import { Digest, digestSecret } from '../../examples/call-routing/proxy/digest.ts';
import { NonceUse } from '../../examples/call-routing/proxy/nonce-use.ts';
import type { ProxyOptions, SipProxy } from '../../examples/call-routing/proxy/proxy.ts';
import type { ReceivedRequest, ReceivedResponse } from '../../examples/call-routing/sip/message.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import { parseMessage } from '../../examples/call-routing/sip/parse.ts';
import { Quota } from '../../examples/call-routing/sip/quota.ts';
import { SourceRates } from '../../examples/call-routing/sip/source-rates.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import type { Credentials } from './digest-client.ts';
import { proxyAuthorization } from './digest-client.ts';
import { fresh, inviteText, laterText, Phone } from './phone.ts';
import { startProxy } from './proxy-stub.ts';

const patience = { timeout: 20_000 };
const realm = 'calls';
const password = 'correct horse';
const users = { ann: { account: 'acme', secret: digestSecret('ann', realm, password) } };

let ann: Phone;
let eve: Phone;
let trunk: Phone;
let proxy: SipProxy | undefined;
let placed: { account: string; called: string }[];

beforeEach(async () => {
  [ann, eve, trunk] = await Promise.all([Phone.open(), Phone.open(), Phone.open()]);
  placed = [];
});

afterEach(async () => {
  await proxy?.stop();
  await Promise.all([ann, eve, trunk].map((phone) => phone[Symbol.asyncDispose]()));
});

async function start(options: Partial<ProxyOptions>): Promise<number> {
  const address = { host: '127.0.0.1', port: trunk.port };
  const place = async ({ account, called }: { account: string; called: string }) => {
    placed.push({ account, called });
    return { kind: 'route', trunk: 'trunk', address } as const;
  };
  proxy = await startProxy(trunk.port, { place }, options);
  return proxy.address.port;
}

function authorize(answer: Partial<Credentials> & Pick<Credentials, 'text' | 'challenge'>): string {
  return proxyAuthorization({ user: 'ann', secret: users.ann.secret, ...answer });
}

describe('by address', () => {
  test('a peer with one account pays whatever From says; another may choose among its own', async () => {
    const peers = [
      { host: '127.0.0.1', port: ann.port, accounts: ['acme'] },
      { host: '127.0.0.1', port: eve.port, accounts: ['hooli', 'globex'] },
    ];
    const port = await start({ admission: { peers } });
    ann.send(inviteText({ from: '4930123', to: '4412', port: ann.port }), port);
    for (const from of ['globex', 'acme', 'gl%6Fbex'])
      eve.send(inviteText({ from, to: '4412', port: eve.port, callId: from }), port);
    await eve.response(403);
    await expect.poll(() => placed.length, patience).toBe(3);
    expect(placed.map(({ account }) => account)).toEqual(['acme', 'globex', 'globex']);
    expect(proxy!.counters.forbidden).toBe(1);
  });

  test('nobody can call where nobody is listed; what is refused takes no room, and is sent once', async () => {
    const port = await start({ admission: {}, timers: makeTimers(1) });
    for (let call = 0; call < 300; call++) eve.send(inviteText({ from: `n${call}`, to: '4412', port: eve.port }), port);
    await expect.poll(() => proxy!.counters.forbidden, patience).toBe(300);
    expect(proxy!.counters).toMatchObject({ transactions: 0, calls: 0 });
    expect(placed).toEqual([]);
    eve.send(inviteText({ from: 'x', to: '4412', port: eve.port }).replaceAll('INVITE', 'OPTIONS'), port);
    await eve.response(200, 'OPTIONS');
    expect(proxy!.counters.sent).toBe(301);
  });
});

describe('by digest', () => {
  const admission = { digest: { realm, users } };

  async function challenged(port: number, text: string, phone = ann): Promise<ReceivedResponse> {
    phone.received.length = 0;
    phone.send(text, port);
    return phone.response(407);
  }

  test('the account of the user pays, not From', async () => {
    const port = await start({ admission });
    const text = inviteText({ from: 'boss', to: '+44 (12)'.replaceAll(' ', '%20'), port: ann.port });
    const challenge = await challenged(port, text);
    expect(headerValue(challenge, 'proxy-authenticate')).toMatch(/realm="calls".*algorithm=SHA-256.*qop="auth"/);
    const again = inviteText({ from: 'boss', to: '4412', port: ann.port });
    ann.send(again.replace('Max-Forwards', `${authorize({ text: again, challenge })}\r\nMax-Forwards`), port);
    const arrived = await trunk.request('INVITE');
    expect(headerValue(arrived, 'proxy-authorization')).toBeUndefined();
    expect(placed).toEqual([{ account: 'acme', called: '4412' }]);
  });

  test.each<[string, Partial<Credentials>, boolean]>([
    ['another password', { secret: digestSecret('ann', realm, 'guess') }, false],
    ['another number signed', { uri: 'sip:4499@127.0.0.1' }, false],
    ['another algorithm named', { algorithm: 'MD5' }, false],
    ['a count that is none', { count: '1' }, false],
    ['another realm', { realm: 'elsewhere' }, false],
  ])('%s is challenged again', async (_, change, isStale) => {
    const port = await start({ admission });
    const text = inviteText({ from: 'ann', to: '4412', port: ann.port });
    const challenge = await challenged(port, text);
    const again = inviteText({ from: 'ann', to: '4412', port: ann.port });
    const header = authorize({ text: again, challenge, ...change });
    const second = await challenged(port, again.replace('Max-Forwards', `${header}\r\nMax-Forwards`));
    expect(headerValue(second, 'proxy-authenticate')!.includes('stale=true')).toBe(isStale);
    expect([placed, proxy!.counters.transactions]).toEqual([[], 0]);
  });

  test('credentials serve once: read on the way, they serve nobody again, from nowhere', async () => {
    const port = await start({ admission });
    const challenge = await challenged(port, inviteText({ from: 'ann', to: '4412', port: ann.port }));
    const signed = (sender: Phone, count: string): string => {
      const text = inviteText({ from: 'ann', to: '4412', port: sender.port });
      return text.replace('Max-Forwards', `${authorize({ text, challenge, count })}\r\nMax-Forwards`);
    };
    ann.send(signed(ann, '00000002'), port);
    await ann.response(100);
    for (const [phone, count] of [
      [ann, '00000002'],
      [ann, '00000001'],
      [eve, '00000003'],
    ] as const) {
      const refused = await challenged(port, signed(phone, count), phone);
      expect(headerValue(refused, 'proxy-authenticate')).toContain('stale=true');
    }
    ann.send(signed(ann, '00000003'), port);
    await expect.poll(() => placed.length, patience).toBe(2);
  });

  test('a nonce is ours, for this address, and not too old; used ones are remembered in a bounded way', () => {
    const from = { host: '127.0.0.1', port: 5062 };
    const nonceOf = (options: DigestOptions): string =>
      headerValue({ headers: [new Digest(options).challenge(from, false)] }, 'proxy-authenticate')!;
    const options = { realm, users };
    expect(nonceOf(options)).not.toBe(nonceOf(options));
    const use = new NonceUse(1e9);
    const now = performance.now();
    for (let nonce = 0; nonce < 1_000; nonce++) expect(use.take('ann', `n${nonce}`, now + nonce, 1)).toBe(true);
    // Whatever was forgotten of them serves no more; nor does what is known.
    for (let nonce = 0; nonce < 1_000; nonce++) expect(use.take('ann', `n${nonce}`, now + nonce, 1)).toBe(false);
    expect(use.take('bob', 'n1', now, 1)).toBe(true);
  });
});

describe('room', () => {
  test('one account takes its share, gets 503, and leaves the others theirs', async () => {
    const peers = [
      { host: '127.0.0.1', port: ann.port, accounts: ['acme'] },
      { host: '127.0.0.1', port: eve.port, accounts: ['hooli'] },
    ];
    const port = await start({ admission: { peers }, transactionsLimit: 20, transactionsPerAccount: 5 });
    for (let call = 0; call < 30; call++) eve.send(inviteText({ from: 'e', to: '4412', port: eve.port }), port);
    expect(headerValue(await eve.response(503), 'retry-after')).toBe('1');
    await expect.poll(() => proxy!.counters.overloadRefused, patience).toBe(25);
    ann.send(inviteText({ from: 'a', to: '4412', port: ann.port }), port);
    await ann.response(100);
  });

  test('a flood of INVITEs leaves room to hang up, and one call cannot use that up', async () => {
    const port = await start({
      admission: { peers: [{ host: '127.0.0.1', accounts: ['acme'] }] },
      transactionsLimit: 12,
      transactionsPerAccount: 12,
      inDialogReserve: 4,
    });
    const text = inviteText({ from: 'a', to: '4412', port: ann.port });
    ann.send(text, port);
    trunk.answer(await trunk.request('INVITE'), 200, port);
    const to = headerValue(await ann.response(200), 'to')!;
    for (let call = 0; call < 30; call++) eve.send(inviteText({ from: 'e', to: '4412', port: eve.port }), port);
    await eve.response(503);
    ann.send(laterText('BYE', text, { to, sequence: 2 }), port);
    trunk.answer(await trunk.request('BYE'), 200, port);
    await ann.response(200, 'BYE');
  });

  test('a call can be hung up however full the tables are of requests in other calls', async () => {
    const peers = [
      { host: '127.0.0.1', port: ann.port, accounts: ['acme'] },
      { host: '127.0.0.1', port: eve.port, accounts: ['hooli'] },
    ];
    const limits = { transactionsLimit: 6, transactionsPerAccount: 6, inDialogReserve: 4 };
    const port = await start({ admission: { peers }, ...limits });
    const calls: { phone: Phone; text: string; to: string }[] = [];
    for (const phone of [ann, eve]) {
      const text = inviteText({ from: 'x', to: '4412', port: phone.port, callId: fresh('full') });
      phone.send(text, port);
      const callId = /^Call-ID: (\S+)/m.exec(text)![1]!;
      trunk.answer(await trunk.request('INVITE', callId), 200, port);
      calls.push({ phone, text, to: headerValue(await phone.response(200), 'to')! });
    }
    const [mine, theirs] = calls as [(typeof calls)[0], (typeof calls)[0]];
    for (let sequence = 2; sequence < 9; sequence++) {
      eve.send(laterText('INFO', theirs.text, { to: theirs.to, sequence }), port);
    }
    await eve.response(503, 'INFO');
    ann.send(laterText('BYE', mine.text, { to: mine.to, sequence: 2 }), port);
    trunk.answer(await trunk.request('BYE'), 200, port);
    await ann.response(200, 'BYE');
  });

  test('one account has its share of the calls, too, and gets it back when they end', async () => {
    const peers = [
      { host: '127.0.0.1', port: ann.port, accounts: ['acme'] },
      { host: '127.0.0.1', port: eve.port, accounts: ['hooli'] },
    ];
    const port = await start({ admission: { peers }, callsLimit: 8, callsPerAccount: 2 });
    for (let call = 0; call < 3; call++) eve.send(inviteText({ from: 'e', to: '4412', port: eve.port }), port);
    await eve.response(503);
    expect(proxy!.counters).toMatchObject({ calls: 2, callsRefused: 1 });
    ann.send(inviteText({ from: 'a', to: '4412', port: ann.port }), port);
    await ann.response(100);
    trunk.answer(await trunk.request('INVITE'), 486, port);
    await eve.response(486);
    eve.received.length = 0;
    eve.send(inviteText({ from: 'e', to: '4412', port: eve.port }), port);
    await eve.response(100);
  });

  test('one account begins so many calls a second; the others get 503 and are not placed', async () => {
    // No other bound is met by so many.
    const wide = { callsLimit: 200, callsPerAccount: 200, transactionsLimit: 200, transactionsPerAccount: 200 };
    const port = await start({ ...wide, callsPerSecond: 2 });
    for (let call = 0; call < 60; call++) eve.send(inviteText({ from: 'ann', to: '4412', port: eve.port }), port);
    expect(headerValue(await eve.response(503), 'retry-after')).toBe('1');
    await expect.poll(() => placed.length + proxy!.counters.callsRefused!, patience).toBe(60);
    expect(placed.length).toBeLessThan(60);
    expect(proxy!.counters.transactions).toBe(2 * placed.length);
  });

  test('what holds nothing is not kept by name', () => {
    const quota = new Quota();
    for (let name = 0; name < 1_000; name++) quota.charge(`n${name}`, 1, 10).release();
    const [first, second] = [quota.charge('one', 1, 10), quota.charge('one', 1, 20)];
    first.release();
    first.release();
    first.become(1_000);
    second.become(30);
    expect([quota.entriesOf('one'), quota.bytesOf('one'), quota.bytes]).toEqual([1, 30, 30]);
    expect([quota.entriesOf('n1'), quota.bytesOf('n1'), quota.size]).toEqual([0, 0, 1]);
    second.release();
    expect([quota.size, quota.bytes]).toEqual([0, 0]);
  });

  test('answers that leave nothing behind are limited by address and by host; a few that ask for many leave some to others', () => {
    const rates = new SourceRates(30);
    const now = performance.now();
    const taken = (port: number, isKnown = false, host = '192.0.2.1'): number => {
      return Array.from({ length: 50 }, () => rates.take({ host, port }, isKnown, now)).filter(Boolean).length;
    };
    // 28 further ones of the first, 2 of the second, and then the first two of each.
    expect([1, 2, 3, 4].map((port) => taken(port))).toEqual([30, 4, 2, 2]);
    expect(taken(1)).toBe(0);
    let all = 0;
    for (let port = 5; port < 100; port++) all += taken(port);
    expect(all).toBe(30 - 8);
    expect([taken(1, true), taken(1, true), taken(200, true), taken(1, false, '192.0.2.2')]).toEqual([30, 0, 30, 30]);
    expect(rates.take({ host: '192.0.2.1', port: 1 }, false, now + 1_001)).toBe(true);
  });

  test('a host behind which some flood with wrong passwords has challenges left for its others', async () => {
    const port = await start({ admission: { digest: { realm, users } }, statelessPerSecond: 20 });
    const flooders = await Promise.all(Array.from({ length: 6 }, () => Phone.open()));
    const line =
      'Proxy-Authorization: Digest username="ann", realm="calls", nonce="x", uri="sip:4412@127.0.0.1", qop=auth';
    for (let round = 0; round < 60; round++) {
      for (const phone of flooders) {
        phone.send(inviteText({ from: 'ann', to: '4412', port: phone.port, headers: [line] }), port);
      }
    }
    await expect.poll(() => proxy!.counters.received, patience).toBe(360);
    ann.send(inviteText({ from: 'ann', to: '4412', port: ann.port }), port);
    const challenge = await ann.response(407);
    const again = inviteText({ from: 'ann', to: '4412', port: ann.port });
    ann.send(again.replace('Max-Forwards', `${authorize({ text: again, challenge })}\r\nMax-Forwards`), port);
    await trunk.request('INVITE');
    await Promise.all(flooders.map((phone) => phone[Symbol.asyncDispose]()));
  });

  test('who has a nonce that we sent to its address is known by it; who has not learns nothing of a password', () => {
    const digest = new Digest({ realm, users });
    const address = { host: '127.0.0.1', port: 5062 };
    const challenge = { headers: [digest.challenge(address, false)] } as unknown as ReceivedResponse;
    const check = (secret: string, port = address.port): unknown => {
      const text = inviteText({ from: 'ann', to: '4412', port });
      const signed = text.replace('Max-Forwards', `${authorize({ text, challenge, secret })}\r\nMax-Forwards`);
      return digest.check(parseMessage(Buffer.from(signed, 'latin1')) as ReceivedRequest, { ...address, port });
    };
    expect(check('guess')).toEqual({ kind: 'wrong', hasNonce: true });
    expect([check('guess', 1), check(users.ann.secret, 1)]).toEqual(Array(2).fill({ kind: 'stale', hasNonce: false }));
    expect(check(users.ann.secret)).toEqual({ kind: 'right', account: 'acme' });
    expect(check(users.ann.secret)).toEqual({ kind: 'stale', hasNonce: true });
  });

  test('beyond that rate a stranger gets nothing, and is counted', async () => {
    const port = await start({ admission: {}, statelessPerSecond: 2 });
    for (let call = 0; call < 200; call++) eve.send(inviteText({ from: 'x', to: '4412', port: eve.port }), port);
    await expect.poll(() => proxy!.counters.forbidden, patience).toBe(200);
    const { sent, statelessDropped } = proxy!.counters;
    expect(sent! + statelessDropped!).toBe(200);
    expect(statelessDropped).toBeGreaterThan(0);
  });
});

test.each([
  ['4412', '4412'],
  ['+4412', '4412'],
  ['%34%34-12', '4412'],
  ['%2B44.12', '4412'],
  ['44%20(1)2', '4412'],
  ['4412;isub=1', '4412'],
])('the number %s is %s', async (to, called) => {
  const port = await start({});
  ann.send(inviteText({ from: 'ann', to, port: ann.port }), port);
  const arrived = await trunk.request('INVITE');
  expect(placed.map((place) => place.called)).toEqual([called]);
  expect(arrived.uri).toBe(`sip:${called}@127.0.0.1:${trunk.port}`);
});

test.each(['service', '0044', '12345678901234567', '4412;phone-context=+1', '44+12', '%2534412', '', '44%0012'])(
  'what is no number is 404 and is not placed: %s',
  async (to) => {
    const port = await start({});
    ann.send(inviteText({ from: 'ann', to, port: ann.port, callId: fresh('none') }), port);
    await ann.response(404);
    expect([placed, proxy!.counters.transactions]).toEqual([[], 0]);
  },
);
