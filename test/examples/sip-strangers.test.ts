// Who is not of a call changes nothing in it: not with its tags, its branches, or its Call-ID; and who is of it cannot end it in
// the books alone.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SipProxy } from '../../examples/call-routing/proxy/proxy.ts';
import type { ReceivedRequest } from '../../examples/call-routing/sip/message.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import { Names } from '../../examples/call-routing/sip/names.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import { fresh, inviteText, laterText, Phone } from './phone.ts';
import { startProxy } from './proxy-stub.ts';

const patience = { timeout: 20_000 };

let ann: Phone;
let trunk: Phone;
let eve: Phone;
let proxy: SipProxy;
let port: number;
let completed: { endedBy: string; durationMs: number }[];

beforeEach(async () => {
  [ann, trunk, eve] = await Promise.all([Phone.open(), Phone.open(), Phone.open('127.0.0.66')]);
  completed = [];
  proxy = await startProxy(trunk.port, { completed: async (_, ending) => void completed.push(ending) });
  port = proxy.address.port;
});

afterEach(async () => {
  await proxy.stop();
  await Promise.all([ann, trunk, eve].map((phone) => phone[Symbol.asyncDispose]()));
});

function invite(headers: readonly string[] = []): string {
  return inviteText({ from: 'ann', to: '4412', port: ann.port, headers });
}

/** When its answer is here, the proxy has taken in what this phone sent before, and sent what came of it. */
async function settled(phone: Phone): Promise<void> {
  const via = `Via: SIP/2.0/UDP 127.0.0.1:${phone.port};branch=z9hG4bK-${fresh('ping')}`;
  phone.send(
    invite()
      .replaceAll('INVITE', 'OPTIONS')
      .replace(/^Via: .*$/m, via),
    port,
  );
  await phone.response(200, 'OPTIONS');
}

interface Talk {
  readonly text: string;
  readonly arrived: ReceivedRequest;
  readonly to: string;
  readonly from: string;
}

async function talk(text: string = invite()): Promise<Talk> {
  ann.send(text, port);
  const arrived = await trunk.request('INVITE');
  trunk.answer(arrived, 200, port);
  const to = headerValue(await ann.response(200), 'to')!;
  return { text, arrived, to, from: headerValue(arrived, 'from')! };
}

/** As the called side would say it. */
function backwards(method: string, { text, to, from }: Talk, sender: Phone, sequence: number): string {
  return laterText(method, text, { to: from, sequence })
    .replace(/^Via: .*$/m, `Via: SIP/2.0/UDP 127.0.0.1:${sender.port};branch=z9hG4bK-${fresh('back')}`)
    .replace(/^From: .*$/m, `From: ${to}`);
}

describe('names', () => {
  test('one says nothing of another, and only our own branches bear our mark', () => {
    const names = new Names();
    const all = Array.from({ length: 500 }, () => [names.nextTag(), names.nextBranch()]).flat();
    expect(new Set(all).size).toBe(1_000);
    for (let length = 1; length <= 3; length++) {
      const beginnings = new Set(all.filter((_, index) => index % 2 === 0).map((tag) => tag.slice(0, 1 + length)));
      expect(beginnings.size).toBeGreaterThan(300);
    }
    const own = names.nextBranch();
    expect(names.isOwnBranch(own)).toBe(true);
    const changed = `${own.slice(0, -1)}${own.endsWith('A') ? 'B' : 'A'}`;
    for (const branch of [changed, new Names().nextBranch(), 'z9hG4bK', '', `${own}x`]) {
      expect(names.isOwnBranch(branch)).toBe(false);
    }
  });
});

describe('answers', () => {
  test('from elsewhere, of another call, or with another tag or CSeq count for nothing', async () => {
    ann.send(invite(), port);
    const arrived = await trunk.request('INVITE');
    for (const status of [180, 200, 486]) eve.answer(arrived, status, port);
    await settled(eve);
    const wrong: [RegExp, string][] = [
      [/^Call-ID: .*$/m, 'Call-ID: other'],
      [/;tag=from/, ';tag=other'],
      [/^CSeq: 1 /m, 'CSeq: 2 '],
      [/^To: .*$/m, `To: <sip:4412@127.0.0.1>;tag=${arrived.envelope.fromTag}`],
    ];
    for (const [what, other] of wrong) trunk.send(answerText(arrived).replace(what, other), port);
    await settled(trunk);
    await settled(ann);
    expect(ann.received.filter(({ envelope }) => envelope.method === 'INVITE').map(statusOf)).toEqual([100]);
    expect(proxy.counters.strayResponses).toBe(7);
    trunk.answer(arrived, 200, port);
    await ann.response(200);
  });

  test('go to where the request came from, not to the port that its Via names', async () => {
    const text = invite().replaceAll('INVITE', 'OPTIONS');
    ann.send(text.replace(`:${ann.port};branch`, `:${trunk.port};branch`), port);
    await ann.response(200, 'OPTIONS');
    expect(trunk.received).toEqual([]);
  });

  test('bring back the Vias that the request came with, whatever the trunk makes of them', async () => {
    ann.send(invite(), port);
    const arrived = await trunk.request('INVITE');
    const bent = answerText(arrived).replace(
      /^(Via: .*\r\n)(Via: .*\r\n)/m,
      '$1Via: SIP/2.0/UDP 192.0.2.1;branch=x\r\n',
    );
    trunk.send(bent, port);
    const ok = await ann.response(200);
    expect(ok.envelope.via.port).toBe(ann.port);
    expect(ok.headers.filter(({ key }) => key === 'via')).toHaveLength(1);
  });

  test('that ring with ever new tags are followed a few times; others can call', async () => {
    await proxy.stop();
    proxy = await startProxy(trunk.port, {}, { callsLimit: 2, callsPerAccount: 2 });
    port = proxy.address.port;
    ann.send(invite(), port);
    const arrived = await trunk.request('INVITE');
    for (let tag = 0; tag < 100; tag++) trunk.send(answerText(arrived, '180 Ringing', `t${tag}`), port);
    await settled(trunk);
    await settled(ann);
    expect(ann.received.filter((message) => statusOf(message) === 180)).toHaveLength(8);
    expect(proxy.counters.calls).toBe(1);
    const other = invite();
    ann.send(other, port);
    await expect.poll(() => trunk.count('INVITE'), patience).toBe(2);
    trunk.send(answerText(arrived, '200 OK', 'late'), port);
    expect((await ann.response(200)).envelope.toTag).toBe('late');
  });
});

describe('requests inside a dialog', () => {
  test('a BYE with swapped, foreign or invented tags, or from elsewhere, is 481 and ends nothing', async () => {
    const call = await talk();
    const bye = laterText('BYE', call.text, { to: call.to, sequence: 2 });
    const tries: [Phone, string][] = [
      [ann, backwards('BYE', call, ann, 7)],
      [ann, bye.replace(';tag=to', ';tag=other')],
      [ann, bye.replace(';tag=from', ';tag=other')],
      [ann, bye.replace(/^Call-ID: .*$/m, 'Call-ID: other')],
      [trunk, bye.replace(/^Via: .*$/m, `Via: SIP/2.0/UDP 127.0.0.1:${trunk.port};branch=z9hG4bK-${fresh('x')}`)],
      [eve, bye],
      [eve, backwards('BYE', call, eve, 9)],
    ];
    for (const [phone, text] of tries) {
      phone.received.length = 0;
      phone.send(text.replace(/branch=\S+/, `branch=z9hG4bK-${fresh('try')}`), port);
      await phone.response(481, 'BYE');
    }
    expect([trunk.count('BYE'), ann.count('BYE'), completed.length, proxy.counters.calls]).toEqual([0, 0, 0, 1]);
    trunk.send(backwards('BYE', call, trunk, 1), port);
    ann.answer(await ann.request('BYE'), 200, port);
    await trunk.response(200, 'BYE');
    expect(completed).toMatchObject([{ endedBy: 'callee' }]);
    expect(proxy.counters.calls).toBe(0);
  });

  test('each side counts its own CSeq up: what is not above is 500, and goes no further', async () => {
    const call = await talk();
    const info = (sequence: number): string => laterText('INFO', call.text, { to: call.to, sequence });
    ann.send(info(5), port);
    trunk.answer(await trunk.request('INFO'), 200, port);
    await ann.response(200, 'INFO');
    for (const sequence of [5, 4, 1]) ann.send(info(sequence), port);
    ann.send(info(2 ** 31 - 1), port);
    trunk.send(backwards('INFO', call, trunk, 1), port);
    ann.answer(await ann.request('INFO'), 200, port);
    await trunk.response(200, 'INFO');
    await settled(ann);
    const statuses = ann.received.filter(({ envelope }) => envelope.method === 'INFO').map(statusOf);
    expect(statuses.filter((status) => status === 500)).toHaveLength(3);
    expect(statuses.filter((status) => status === 400)).toHaveLength(1);
    expect(trunk.count('INFO')).toBe(1);
  });

  test('go to where the other side was met, by its own Contact, whatever Contact, Route and Request-URI say', async () => {
    const daemon = await Phone.open('127.0.0.9');
    await using _ = daemon;
    const contact = `Contact: <sip:x@127.0.0.9:${daemon.port}>`;
    const call = await talk(invite([]).replace(/^Contact: .*$/m, contact));
    const info = laterText('INFO', call.text, {
      to: call.to,
      sequence: 2,
      headers: [`Route: <sip:127.0.0.9:${daemon.port};lr>`],
    });
    ann.send(info.replace(/^INFO \S+/, 'INFO sip:19005550000@127.0.0.1'), port);
    const reached = await trunk.request('INFO');
    expect(reached.uri).toBe(`sip:callee@127.0.0.1:${trunk.port}`);
    expect(headerValue(reached, 'route')).toBeUndefined();
    trunk.answer(reached, 200, port);
    await ann.response(200, 'INFO');
    trunk.send(backwards('INFO', call, trunk, 1), port);
    expect((await ann.request('INFO')).uri).toBe(`sip:x@127.0.0.9:${daemon.port}`);
    expect(daemon.received).toEqual([]);
  });

  test('a BYE that the other side does not understand ends the call there, too', async () => {
    const call = await talk();
    ann.send(laterText('BYE', call.text, { to: call.to, sequence: 2, headers: ['Require: nonsense'] }), port);
    trunk.answer(await trunk.request('BYE'), 420, port);
    await ann.response(420, 'BYE');
    await expect.poll(() => trunk.count('BYE'), patience).toBe(2);
    const own = trunk.received.findLast((message) => message.kind === 'request' && message.method === 'BYE')!;
    expect(headerValue(own, 'require')).toBeUndefined();
    expect(own.envelope).toMatchObject({
      callId: call.arrived.envelope.callId,
      fromTag: 'from',
      toTag: 'to',
      sequence: 3,
    });
    expect(completed).toMatchObject([{ endedBy: 'caller' }]);
  });

  test('a BYE that the other side drops is followed by a plain one: it does not end in the books alone', async () => {
    await proxy.stop();
    const desk = { completed: async (_: string, ending: (typeof completed)[number]) => void completed.push(ending) };
    proxy = await startProxy(trunk.port, desk, { timers: makeTimers(5) });
    port = proxy.address.port;
    const call = await talk();
    ann.send(laterText('BYE', call.text, { to: call.to, sequence: 2, headers: ['X-Odd: nobody reads this'] }), port);
    await ann.response(408, 'BYE');
    await expect.poll(() => trunk.count('BYE'), patience).toBe(2);
    const own = trunk.received.findLast((message) => message.kind === 'request' && message.method === 'BYE')!;
    expect(headerValue(own, 'x-odd')).toBeUndefined();
    expect(completed).toMatchObject([{ endedBy: 'caller' }]);
  });

  test('a REFER, or another method that could have a trunk place calls, is 405 on both sides', async () => {
    const call = await talk();
    ann.send(laterText('REFER', call.text, { to: call.to, sequence: 2, headers: ['Refer-To: <sip:19@x>'] }), port);
    expect(headerValue(await ann.response(405, 'REFER'), 'allow')).toContain('BYE');
    trunk.send(backwards('REFER', call, trunk, 1), port);
    await trunk.response(405, 'REFER');
    expect([trunk.count('REFER'), ann.count('REFER')]).toEqual([0, 0]);
  });

  test('an ACK is passed on for an INVITE of this side, from where that came', async () => {
    const call = await talk();
    const ack = (sequence: number): string => laterText('ACK', call.text, { to: call.to, sequence });
    eve.send(ack(1), port);
    ann.send(ack(2), port);
    await Promise.all([settled(eve), settled(ann)]);
    expect(trunk.count('ACK')).toBe(0);
    expect(proxy.counters.strayAcknowledgements).toBe(2);
    ann.send(ack(1), port);
    await trunk.request('ACK');
  });

  test('a CANCEL from elsewhere is 481, and it rings on', async () => {
    const text = invite();
    ann.send(text, port);
    trunk.answer(await trunk.request('INVITE'), 180, port);
    await ann.response(180);
    const branch = /branch=z9hG4bK-(\S+)/.exec(text)![1]!;
    eve.send(laterText('CANCEL', text, { to: '<sip:4412@127.0.0.1>', sequence: 1, branch }), port);
    await eve.response(481, 'CANCEL');
    expect(trunk.count('CANCEL')).toBe(0);
  });
});

/** One of each kind that a client acts on in its own way, and the ends of the classes. */
const finalStatuses = [
  ...[300, 301, 302, 305, 380, 399, 400, 401, 402, 403, 404, 405, 407, 408, 413, 415, 420, 421, 422, 423, 428, 433],
  ...[
    480, 481, 482, 483, 485, 486, 487, 488, 489, 491, 493, 494, 499, 500, 501, 503, 504, 513, 580, 599, 600, 603, 699,
  ],
];
const asksForAnother = (status: number): boolean => status < 400 || status === 401 || status === 407;

describe.each(['caller', 'callee'] as const)('a BYE of the %s', (endedBy) => {
  let sides: { sender: Phone; receiver: Phone };
  let extensions: number;

  beforeEach(async () => {
    await proxy.stop();
    sides = endedBy === 'caller' ? { sender: ann, receiver: trunk } : { sender: trunk, receiver: ann };
    extensions = 0;
  });

  /** A router whose desk would let the call go on and on, slice by slice. */
  async function open(t1Ms?: number): Promise<void> {
    const desk = {
      completed: async (_: string, ending: (typeof completed)[number]) => void completed.push(ending),
      coveredMs: () => 10,
      extend: () => ++extensions > 0,
    };
    const limits = { transactionsLimit: 1_000, transactionsPerAccount: 1_000, callsPerSecond: 1_000 };
    proxy = await startProxy(trunk.port, desk, { ...limits, timers: makeTimers(t1Ms) });
    port = proxy.address.port;
  }

  function bye(call: Talk): string {
    if (endedBy === 'callee') return backwards('BYE', call, trunk, 1);
    return laterText('BYE', call.text, { to: call.to, sequence: 2 });
  }

  test('ends the charging when it arrives, and the call with any final answer', async () => {
    await open();
    for (const status of finalStatuses) {
      for (const phone of [ann, trunk]) phone.received.length = 0;
      completed.length = 0;
      const invitedAt = performance.now();
      const call = await talk();
      const { callId } = call.arrived.envelope;
      sides.sender.send(bye(call), port);
      const arrived = await sides.receiver.request('BYE', callId);
      const atMostMs = Math.ceil(performance.now() - invitedAt);
      // Before the other side has said anything to it.
      expect([status, completed]).toMatchObject([status, [{ endedBy }]]);
      expect(completed[0]!.durationMs).toBeLessThanOrEqual(atMostMs);
      const extended = extensions;
      sides.receiver.answer(arrived, status, port);
      expect((await sides.sender.final('BYE')).status).toBe(asksForAnother(status) ? 481 : status);
      // Who has said that the dialog is gone needs no BYE of the router's.
      await settled(sides.receiver);
      expect([status, sides.receiver.count('BYE', callId)]).toEqual([status, status === 481 ? 1 : 2]);
      const others = [sides.sender.count('BYE', callId), completed.length, proxy.counters.calls, extensions];
      expect([status, ...others]).toEqual([status, 0, 1, 0, extended]);
    }
  });

  test('ends the charging when it arrives, and the call if no answer comes', async () => {
    await open(5);
    const call = await talk();
    sides.sender.send(bye(call), port);
    await sides.receiver.request('BYE');
    expect(completed).toMatchObject([{ endedBy }]);
    const extended = extensions;
    await sides.sender.response(408, 'BYE');
    await expect.poll(() => sides.receiver.count('BYE'), patience).toBe(2);
    expect([completed.length, proxy.counters.calls, extensions]).toEqual([1, 0, extended]);
  });

  test('that is challenged and sent again with credentials finds the dialog gone, and is charged to the first', async () => {
    await open();
    const call = await talk();
    sides.sender.send(bye(call), port);
    const first = await sides.receiver.request('BYE');
    const { durationMs } = completed[0]!;
    sides.receiver.answer(first, 407, port);
    await sides.sender.response(481, 'BYE');
    sides.sender.received.length = 0;
    sides.sender.send(bye(call).replace(/^CSeq: /m, 'Proxy-Authorization: Digest username="ann"\r\nCSeq: 9'), port);
    await sides.sender.response(481, 'BYE');
    expect(completed).toEqual([{ endedBy, durationMs }]);
  });
});

describe('who may be gone', () => {
  test.each(['ringing', 'silence'])(
    'a caller that has cancelled is not charged for an answer that comes all the same, after %s',
    async (before) => {
      await proxy.stop();
      const recorded: unknown[] = [];
      const desk = {
        answered: async () => void recorded.push('answered'),
        failed: async (_: string, status: number) => void recorded.push(status),
      };
      proxy = await startProxy(trunk.port, desk);
      port = proxy.address.port;
      const text = invite();
      const branch = /branch=z9hG4bK-(\S+)/.exec(text)![1]!;
      ann.send(text, port);
      const arrived = await trunk.request('INVITE');
      if (before === 'ringing') {
        trunk.answer(arrived, 180, port);
        await ann.response(180);
      }
      ann.send(laterText('CANCEL', text, { to: '<sip:4412@127.0.0.1>', sequence: 1, branch }), port);
      await ann.response(200, 'CANCEL');
      for (let copy = 0; copy < 2; copy++) trunk.answer(arrived, 200, port);
      await ann.response(487);
      expect((await trunk.request('ACK')).envelope).toMatchObject({ fromTag: 'from', toTag: 'to', sequence: 1 });
      expect((await trunk.request('BYE')).envelope).toMatchObject({ fromTag: 'from', toTag: 'to', sequence: 2 });
      await settled(trunk);
      expect([recorded, proxy.counters.calls, trunk.count('BYE')]).toEqual([[487], 0, 1]);
    },
  );

  test('a caller that does not acknowledge the answer is charged until both sides get a BYE', async () => {
    await proxy.stop();
    const desk = { completed: async (_: string, ending: (typeof completed)[number]) => void completed.push(ending) };
    proxy = await startProxy(trunk.port, desk, { timers: makeTimers(15) });
    port = proxy.address.port;
    const shows = [(call: Talk) => laterText('ACK', call.text, { to: call.to, sequence: 1 })];
    shows.push((call) => laterText('INFO', call.text, { to: call.to, sequence: 2 }));
    for (const show of shows) {
      ann.send(show(await talk()), port);
      ann.received.length = 0;
      trunk.received.length = 0;
    }
    const { callId } = (await talk()).arrived.envelope;
    await Promise.all([ann.request('BYE', callId), trunk.request('BYE', callId)]);
    // Those before it would have been ended before it.
    expect(completed).toMatchObject([{ endedBy: 'nobody' }]);
    expect([proxy.counters.calls, ann.count('BYE'), trunk.count('BYE')]).toEqual([2, 1, 1]);
  });

  test.each<[string, RegExp, string, number]>([
    ['an extension', /^Max-Forwards: 70$/m, 'Max-Forwards: 70\r\nProxy-Require: nonsense', 420],
    ['no hop left', /^Max-Forwards: 70$/m, 'Max-Forwards: 0', 483],
    ['hops that are none', /^Max-Forwards: 70$/m, 'Max-Forwards: many', 400],
    ['a CSeq without room above', /^CSeq: \d+/m, 'CSeq: 2147483647', 400],
  ])('a BYE that the router itself refuses (%s) has hung up all the same', async (_, what, other, status) => {
    for (const endedBy of ['caller', 'callee'] as const) {
      completed.length = 0;
      for (const phone of [ann, trunk]) phone.received.length = 0;
      const call = await talk();
      const { callId } = call.arrived.envelope;
      const [sender, receiver] = endedBy === 'caller' ? [ann, trunk] : [trunk, ann];
      const bye =
        endedBy === 'caller'
          ? laterText('BYE', call.text, { to: call.to, sequence: 2 })
          : backwards('BYE', call, trunk, 1);
      const refused = bye.replace(what, other);
      eve.send(refused, port);
      await settled(eve);
      expect([completed, proxy.counters.calls]).toEqual([[], 1]);
      sender.send(refused.replace(/branch=\S+/, `branch=z9hG4bK-${fresh('try')}`), port);
      await sender.response(status, 'BYE');
      expect(headerValue(await receiver.request('BYE', callId), 'proxy-require')).toBeUndefined();
      expect([completed.length, completed[0]!.endedBy, proxy.counters.calls]).toEqual([1, endedBy, 0]);
    }
  });
});

describe('a second INVITE', () => {
  test('inside the dialog or outside, starts no clock again', async () => {
    const call = await talk();
    const again = laterText('INVITE', call.text, { to: '<sip:4412@127.0.0.1>', sequence: 2 });
    ann.send(again, port);
    await ann.response(482);
    await new Promise((resolve) => setTimeout(resolve, 30));
    ann.received.length = 0;
    ann.send(laterText('INVITE', call.text, { to: call.to, sequence: 3 }), port);
    await expect.poll(() => trunk.count('INVITE'), patience).toBe(2);
    trunk.answer(trunk.received.findLast(isInvite)!, 200, port);
    await ann.response(200);
    ann.send(laterText('BYE', call.text, { to: call.to, sequence: 4 }), port);
    trunk.answer(await trunk.request('BYE'), 200, port);
    await ann.response(200, 'BYE');
    expect(completed).toHaveLength(1);
    expect(completed[0]!.durationMs).toBeGreaterThanOrEqual(29);
  });

  test('that has been here before is a loop', async () => {
    ann.send(invite(), port);
    const arrived = await trunk.request('INVITE');
    trunk.send(
      inviteText({ from: 'ann', to: '4412', port: trunk.port, headers: [`Via: ${headerValue(arrived, 'via')}`] }),
      port,
    );
    await trunk.response(482);
    expect(proxy.counters.loops).toBe(1);
    expect(trunk.count('INVITE')).toBe(1);
  });

  test('carries no Route, credentials or identity that trunks believe from the caller to the trunk', async () => {
    ann.send(
      invite([
        'Route: <sip:192.0.2.1;lr>',
        'P-Asserted-Identity: <sip:boss@127.0.0.1>',
        'P-Charging-Vector: icid-value=1',
        'Remote-Party-ID: <sip:boss@127.0.0.1>;screen=yes',
        'Diversion: <sip:boss@127.0.0.1>',
        'History-Info: <sip:boss@127.0.0.1>;index=1',
        'Replaces: other-call;to-tag=a;from-tag=b',
        'Join: other-call;to-tag=a;from-tag=b',
        'Refer-To: <sip:19005550000@127.0.0.1>',
        'Target-Dialog: 1@x;local-tag=a;remote-tag=b',
        'Resource-Priority: dsn.flash-override',
        'Proxy-Authorization: Digest username="ann", realm="other"',
      ]),
      port,
    );
    const arrived = await trunk.request('INVITE');
    const names = new Set(arrived.headers.map(({ key }) => key));
    for (const key of [
      'route',
      'proxy-authorization',
      'remote-party-id',
      'diversion',
      'history-info',
      'replaces',
      'join',
      'refer-to',
      'target-dialog',
      'resource-priority',
    ]) {
      expect(names).not.toContain(key);
    }
    expect([...names].filter((key) => key.startsWith('p-'))).toEqual([]);
  });
});

test('a call that is paid for no further is ended at both sides, and charged as far as it was', async () => {
  await proxy.stop();
  let coveredMs = 20;
  const extensions: number[] = [];
  const desk = {
    coveredMs: () => coveredMs,
    extend: () => {
      extensions.push(coveredMs);
      if (extensions.length > 2) return false;
      coveredMs += 20;
      return true;
    },
    completed: async (_: string, ending: { endedBy: string; durationMs: number }) => void completed.push(ending),
  };
  proxy = await startProxy(trunk.port, desk, { timers: makeTimers(20) });
  port = proxy.address.port;
  const call = await talk();
  const [toCaller, toCallee] = await Promise.all([ann.request('BYE'), trunk.request('BYE')]);
  expect(toCaller.uri).toBe(`sip:ann@127.0.0.1:${ann.port}`);
  expect(toCaller.envelope).toMatchObject({ fromTag: 'to', toTag: 'from', callId: call.arrived.envelope.callId });
  expect(toCallee.envelope).toMatchObject({ fromTag: 'from', toTag: 'to', sequence: 2 });
  await expect.poll(() => completed, patience).toMatchObject([{ endedBy: 'credit' }]);
  expect(extensions).toEqual([20, 40, 60]);
  ann.send(laterText('BYE', call.text, { to: call.to, sequence: 2 }), port);
  await ann.response(481, 'BYE');
});

test('a call that neither side ends is ended at both when its time is over', async () => {
  await proxy.stop();
  const desk = { completed: async (_: string, ending: (typeof completed)[number]) => void completed.push(ending) };
  proxy = await startProxy(trunk.port, desk, { timers: { ...makeTimers(10), callMs: 100 } });
  port = proxy.address.port;
  await talk();
  await Promise.all([ann.request('BYE'), trunk.request('BYE')]);
  await expect.poll(() => completed, patience).toMatchObject([{ endedBy: 'nobody' }]);
  expect(proxy.counters.calls).toBe(0);
});

test('a call that rings too long is cancelled at the trunk, however often that says that it rings', async () => {
  await proxy.stop();
  proxy = await startProxy(trunk.port, {}, { timers: { ...makeTimers(10), ringingMs: 200 } });
  port = proxy.address.port;
  ann.send(invite(), port);
  const arrived = await trunk.request('INVITE');
  const rings = setInterval(() => trunk.answer(arrived, 180, port), 20);
  try {
    await Promise.all([ann.response(408), trunk.request('CANCEL')]);
  } finally {
    clearInterval(rings);
  }
  expect(proxy.counters.calls).toBe(0);
});

test('an answer that cannot be told from another call is none: nothing is left that nobody could end', async () => {
  const first = await talk();
  await using again = await Phone.open();
  // Another address, the same Call-ID and tag; and the trunk answers with the tag of the first call.
  again.send(first.text.replaceAll(`:${ann.port}`, `:${again.port}`).replace('CSeq: 1', 'CSeq: 2'), port);
  await expect.poll(() => trunk.count('INVITE'), patience).toBe(2);
  trunk.answer(trunk.received.findLast(isInvite)!, 200, port);
  await again.response(500);
  expect(proxy.counters.calls).toBe(1);
});

function isInvite(message: { kind: string; method?: string }): message is ReceivedRequest {
  return message.kind === 'request' && message.method === 'INVITE';
}

function statusOf(message: { kind: string; status?: number }): number | undefined {
  return message.kind === 'response' ? message.status : undefined;
}

function answerText(request: ReceivedRequest, status = '200 OK', tag = 'to'): string {
  const copied = request.headers.filter(({ key }) => ['via', 'from', 'call-id', 'cseq'].includes(key));
  return [
    `SIP/2.0 ${status}`,
    ...copied.map(({ name, value }) => `${name}: ${value}`),
    `To: ${headerValue(request, 'to')};tag=${tag}`,
    `Contact: <sip:callee@127.0.0.1:${trunk.port}>`,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}
