// The router as a whole, on the real runtime and real sockets: what SIP says on the wire, and what the events say of it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../examples/call-routing/sip/message.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import { fresh, laterText } from './phone.ts';
import { patience, Scene } from './scene.ts';

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
});

afterEach(async () => {
  await scene[Symbol.asyncDispose]();
});

describe('a call', () => {
  test('goes to the cheapest bid, through the router both ways, and leaves its events', async () => {
    const callId = fresh('call');
    const { text, to, routes } = await scene.establish(callId);
    expect(routes).toEqual([`Route: <sip:127.0.0.1:${scene.port};lr>`]);
    const arrived = await scene.cheap.request('INVITE');
    expect(arrived.uri).toBe(`sip:4412@127.0.0.1:${scene.cheap.port}`);
    expect(arrived.headers.filter(({ key }) => key === 'via')).toHaveLength(2);
    expect(headerValue(arrived, 'max-forwards')).toBe('69');
    expect(arrived.body.toString()).toBe('v=0\r\n');
    await Promise.all([scene.ann.response(100), scene.ann.response(180)]);

    scene.ann.send(laterText('BYE', text, { to, sequence: 2, headers: routes }), scene.port);
    scene.cheap.answer(await scene.cheap.request('BYE'), 200, scene.port);
    const over = await scene.ann.response(200, 'BYE');
    expect(over.headers.filter(({ key }) => key === 'via')).toHaveLength(1);
    expect(await scene.typesOf(callId)).toEqual(['CallCreated', 'CallRouted', 'CallAnswered', 'CallCompleted']);

    const events = await scene.untilTypes(callId, 'BidWon', 'BidLost', 'BalanceUpdated');
    const data = (type: string): unknown[] => events.filter((event) => event.type === type).map(({ data }) => data);
    expect(data('CallRouted')).toEqual([{ bidId: 'cheap-44', trunk: 'cheap', ratePerMinute: '0.1' }]);
    expect(data('CallCompleted')).toMatchObject([{ billedSeconds: 1, cost: '0.001667', endedBy: 'caller' }]);
    expect(data('BalanceUpdated')).toMatchObject([{ amount: '-0.001667', balance: '9.998333', reason: 'call' }]);
    const bids = events.filter(({ aggregateType }) => aggregateType === 'bid');
    expect(bids.map(({ type, aggregateId }) => `${type} ${aggregateId}`).sort()).toEqual([
      'BidLost dear-44',
      'BidWon cheap-44',
    ]);
  });

  test('may be ended by the called side, and by a client that knows nothing of Record-Route', async () => {
    const callId = fresh('call');
    const { text, to } = await scene.establish(callId);
    const arrived = await scene.cheap.request('INVITE');
    const bye = laterText('BYE', text, { to: headerValue(arrived, 'from')!, sequence: 1 })
      .replace(/^Via: .*$/m, `Via: SIP/2.0/UDP 127.0.0.1:${scene.cheap.port};branch=z9hG4bK-${fresh('bye')}`)
      .replace(/^From: .*$/m, `From: ${to}`)
      .replace(/^BYE \S+/, `BYE sip:ann@127.0.0.1:${scene.port}`);
    scene.cheap.send(bye, scene.port);
    const reached = await scene.ann.request('BYE');
    expect(reached.uri).toBe(`sip:ann@127.0.0.1:${scene.ann.port}`);
    scene.ann.answer(reached, 200, scene.port);
    await scene.cheap.response(200, 'BYE');
    const [ending] = (await scene.eventsOf(callId)).filter(({ type }) => type === 'CallCompleted');
    expect(ending?.data).toMatchObject({ endedBy: 'callee' });
  });

  test('is written before its INVITE leaves', async () => {
    const callId = fresh('call');
    scene.ann.send(scene.invite({ callId }), scene.port);
    await scene.cheap.request('INVITE');
    expect(await scene.typesOf(callId)).toEqual(['CallCreated', 'CallRouted']);
  });
});

describe('what comes twice changes nothing', () => {
  test('INVITE, answer, ACK and BYE', async () => {
    const callId = fresh('call');
    const text = scene.invite({ callId });
    const { port } = scene;
    for (let time = 0; time < 3; time++) scene.ann.send(text, port);
    const arrived = await scene.cheap.request('INVITE');
    for (let time = 0; time < 3; time++) scene.cheap.answer(arrived, 200, port);
    const to = headerValue(await scene.ann.response(200), 'to')!;
    scene.ann.send(text, port);
    for (let time = 0; time < 2; time++)
      scene.ann.send(laterText('ACK', text, { to, sequence: 1, branch: 'ack' }), port);
    const bye = laterText('BYE', text, { to, sequence: 2, branch: fresh('bye') });
    for (let time = 0; time < 3; time++) scene.ann.send(bye, port);
    scene.cheap.answer(await scene.cheap.request('BYE'), 200, port);
    await scene.ann.response(200, 'BYE');
    scene.ann.send(bye, port);
    // One more exchange on the same socket: when it is answered, everything before it has been taken in.
    scene.ann.send(laterText('BYE', text, { to, sequence: 3 }), port);
    await scene.ann.response(481, 'BYE');
    expect(await scene.typesOf(callId)).toEqual(['CallCreated', 'CallRouted', 'CallAnswered', 'CallCompleted']);
    expect([scene.cheap.count('INVITE'), scene.cheap.count('BYE')]).toEqual([1, 1]);
    expect(scene.router.report().counters.retransmissionsAbsorbed).toBe(6);
  });

  test('the same INVITE by another way is a merged request', async () => {
    const callId = fresh('call');
    scene.ann.send(scene.invite({ callId }), scene.port);
    await scene.cheap.request('INVITE');
    scene.ann.send(scene.invite({ callId }), scene.port);
    await scene.ann.response(482);
    expect(await scene.typesOf(callId)).toEqual(['CallCreated', 'CallRouted']);
  });

  test('a refused INVITE is acknowledged hop by hop, and its answer repeated until it is', async () => {
    const isRefusal = (message: ReceivedMessage): boolean => message.kind === 'response' && message.status === 404;
    const text = scene.invite({ callId: fresh('call'), to: '9912' });
    scene.ann.send(text, scene.port);
    const refused = await scene.ann.response(404);
    await expect.poll(() => scene.ann.received.filter(isRefusal).length, patience).toBeGreaterThan(1);
    const branch = /branch=z9hG4bK-(\S+)/.exec(text)![1]!;
    scene.ann.send(laterText('ACK', text, { to: headerValue(refused, 'to')!, sequence: 1, branch }), scene.port);
    scene.ann.send(text, scene.port);
    scene.ann.send(scene.options(), scene.port);
    await scene.ann.response(200, 'OPTIONS');
    expect(scene.router.report().counters.strayAcknowledgements).toBe(0);
  });
});

describe('started again on the same data', () => {
  test('accounts and bids are as they were, and the calls left open are closed', async () => {
    const open = fresh('call');
    scene.ann.send(scene.invite({ callId: open }), scene.port);
    await scene.cheap.request('INVITE');
    await scene.restartRouter();
    expect(scene.router.closedCalls).toBe(1);
    expect(await scene.typesOf(open)).toEqual(['CallCreated', 'CallRouted', 'CallFailed']);
    scene.ann.send(scene.invite({ callId: open }), scene.port);
    await scene.ann.response(482);
    const again = fresh('call');
    scene.ann.send(scene.invite({ callId: again }), scene.port);
    await expect
      .poll(() => scene.cheap.received.some(({ envelope }) => envelope.callId === again), patience)
      .toBe(true);
    const events = await scene.events();
    expect(events.filter(({ type }) => type === 'BidPlaced')).toHaveLength(4);
    expect(events.filter(({ type }) => type === 'AccountCreated')).toHaveLength(3);
  });
});
