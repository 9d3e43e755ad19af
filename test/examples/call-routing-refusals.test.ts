// Calls that fail, and requests that are refused: the status on the wire, the reason in the events.
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import { fresh, laterText } from './phone.ts';
import { patience, Scene } from './scene.ts';

// One router for all: each test has a call, and a caller's phone, of its own.
let scene: Scene;

beforeAll(async () => {
  scene = await Scene.open();
});

beforeEach(() => scene.renewCaller());

afterAll(async () => {
  await scene[Symbol.asyncDispose]();
});

describe('a call that fails', () => {
  test('busy: 486 comes back, and the trunk gets its ACK from the router', async () => {
    const callId = fresh('call');
    scene.ann.send(scene.invite({ callId }), scene.port);
    scene.cheap.answer(await scene.cheap.request('INVITE', callId), 486, scene.port);
    await Promise.all([scene.ann.response(486), scene.cheap.request('ACK', callId)]);
    expect(await scene.typesOf(callId)).toEqual(['CallCreated', 'CallRouted', 'CallFailed']);
    expect(await scene.failureOf(callId)).toEqual({ status: 486, reason: 'refused-by-trunk' });
  });

  test('cancelled while it rings', async () => {
    const callId = fresh('call');
    const text = scene.invite({ callId });
    scene.ann.send(text, scene.port);
    const arrived = await scene.cheap.request('INVITE', callId);
    scene.cheap.answer(arrived, 180, scene.port);
    await scene.ann.response(180);
    const branch = /branch=z9hG4bK-(\S+)/.exec(text)![1]!;
    const cancel = laterText('CANCEL', text, { to: '<sip:4412@127.0.0.1>', sequence: 1, branch });
    scene.ann.send(cancel, scene.port);
    await scene.ann.response(200, 'CANCEL');
    const reached = await scene.cheap.request('CANCEL', callId);
    expect(reached.envelope.via.branch).toBe(arrived.envelope.via.branch);
    scene.cheap.answer(reached, 200, scene.port);
    scene.cheap.answer(arrived, 487, scene.port);
    await Promise.all([scene.ann.response(487), scene.cheap.request('ACK', callId)]);
    expect(await scene.failureOf(callId)).toEqual({ status: 487, reason: 'cancelled' });
  });

  test('cancelled before the trunk has said anything: the CANCEL waits for it', async () => {
    const callId = fresh('call');
    const text = scene.invite({ callId });
    scene.ann.send(text, scene.port);
    const branch = /branch=z9hG4bK-(\S+)/.exec(text)![1]!;
    scene.ann.send(laterText('CANCEL', text, { to: '<sip:4412@127.0.0.1>', sequence: 1, branch }), scene.port);
    await scene.ann.response(200, 'CANCEL');
    // Whether the CANCEL found the call decided or not, the caller sees 487; the trunk has an INVITE only if it was.
    const ended = scene.ann.response(487);
    const arrived = await Promise.race([scene.cheap.request('INVITE', callId), ended.then(() => undefined)]);
    if (arrived) {
      scene.cheap.answer(arrived, 180, scene.port);
      scene.cheap.answer(await scene.cheap.request('CANCEL', callId), 200, scene.port);
      scene.cheap.answer(arrived, 487, scene.port);
    }
    await ended;
    expect(await scene.failureOf(callId)).toEqual({ status: 487, reason: 'cancelled' });
  });

  test('a trunk that says nothing is given up', async () => {
    await using hasty = await Scene.open(makeTimers(10));
    const callId = fresh('call');
    hasty.ann.send(hasty.invite({ callId }), hasty.port);
    await Promise.all([hasty.cheap.request('INVITE', callId), hasty.ann.response(408)]);
    expect(await hasty.failureOf(callId)).toEqual({ status: 408, reason: 'not-answered' });
  });

  test.each([
    ['402', 'who cannot pay for the first minute', { from: 'poor', to: '4912' }, 'insufficient-credit'],
    ['403', 'whose account is suspended', { from: 'late' }, 'account-suspended'],
    ['403', 'whose account does not exist', { from: 'ghost' }, 'unknown-account'],
    ['404', 'with a number that no bid covers', { to: '9912' }, 'no-route'],
  ])('%s for a caller %s', async (status, _, who, reason) => {
    const callId = fresh('call');
    scene.ann.send(scene.invite({ callId, ...who }), scene.port);
    await scene.ann.response(Number(status));
    expect(await scene.typesOf(callId)).toEqual(['CallCreated', 'CallFailed']);
    expect(await scene.failureOf(callId)).toEqual({ status: Number(status), reason });
    expect([scene.cheap.count('INVITE', callId), scene.dear.count('INVITE', callId)]).toEqual([0, 0]);
  });

  test('calls in progress hold their first minute: the same money is not spent twice', async () => {
    const [first, second, third] = [fresh('call'), fresh('call'), fresh('call')];
    scene.ann.send(scene.invite({ callId: first, from: 'poor' }), scene.port);
    const arrived = await scene.cheap.request('INVITE', first);
    scene.ann.send(scene.invite({ callId: second, from: 'poor' }), scene.port);
    await scene.ann.response(402);
    scene.cheap.answer(arrived, 486, scene.port);
    await scene.ann.response(486);
    scene.ann.send(scene.invite({ callId: third, from: 'poor' }), scene.port);
    scene.cheap.answer(await scene.cheap.request('INVITE', third), 486, scene.port);
    await scene.cheap.request('ACK', third);
  });
});

describe('who may not call', () => {
  test('leaves nothing in the log, and no name in memory', async () => {
    const counters = (): Record<string, number> => scene.router.report().counters as Record<string, number>;
    const { forbidden, transactions } = counters();
    for (let call = 1; call <= 200; call++) {
      scene.ann.send(scene.invite({ from: `stranger-${call}` }), scene.port);
      // No more at a time than the smallest socket buffer holds.
      if (call % 20 === 0) await expect.poll(() => counters().forbidden, patience).toBe(forbidden! + call);
    }
    await scene.ann.response(403);
    expect(counters().transactions).toBeLessThanOrEqual(transactions!); // earlier ones may have ended meanwhile
    expect(JSON.stringify(await scene.events())).not.toContain('stranger-');
  });
});

describe('what a client may not do', () => {
  /** How much the router's counters have grown since. */
  const startCounting = (): ((name: string) => number) => {
    const before = scene.router.report().counters;
    return (name) => scene.router.report().counters[name]! - before[name]!;
  };

  test('malformed requests are answered 400, or dropped and counted', async () => {
    const counted = startCounting();
    const text = scene.invite({ callId: fresh('call') });
    scene.ann.send(text.replace('1 INVITE', '1 BYE'), scene.port);
    scene.ann.send(text.replace('Content-Length: 5', 'Content-Length: 500'), scene.port);
    scene.ann.send(text.replace(/^Via.*\r\n/m, ''), scene.port);
    scene.ann.send('\r\n\r\n', scene.port);
    scene.ann.send('\0\0\0\0nonsense', scene.port);
    scene.ann.send('SIP/2.0 200 OK\r\n\r\n', scene.port);
    scene.ann.send(scene.options(), scene.port);
    await scene.ann.response(200, 'OPTIONS');
    expect(scene.ann.received.filter((m) => m.kind === 'response' && m.status === 400)).toHaveLength(2);
    expect(['malformedAnswered', 'malformedDropped', 'keepAlives'].map(counted)).toEqual([2, 3, 1]);
  });

  test('no datagram stops the router', async () => {
    const counted = startCounting();
    // Few and short enough for the smallest socket buffer: none is lost on the way.
    const noise = fc.sample(fc.uint8Array({ maxLength: 400 }), { numRuns: 60, seed: 1 });
    for (const bytes of noise) scene.ann.send(Buffer.from(bytes).toString('latin1'), scene.port);
    scene.ann.send(scene.options(), scene.port);
    await scene.ann.response(200, 'OPTIONS');
    expect(counted('malformedDropped') + counted('keepAlives')).toBe(60);
  });

  test.each([
    [483, (text: string) => text.replace('Max-Forwards: 70', 'Max-Forwards: 0')],
    [400, (text: string) => text.replace('Max-Forwards: 70', 'Max-Forwards: many')],
    [420, (text: string) => text.replace('Max-Forwards', 'Proxy-Require: magic\r\nMax-Forwards')],
    [416, (text: string) => text.replace(/sip:4412@\S+/, 'tel:4412')],
    [400, (text: string) => text.replace(/sip:4412@\S+/, 'nonsense')],
    [505, (text: string) => text.replace('SIP/2.0', 'SIP/7.0')],
  ])('%i', async (status, change) => {
    const callId = fresh('call');
    scene.ann.send(change(scene.invite({ callId })), scene.port);
    await scene.ann.response(status);
    expect(await scene.typesOf(callId)).toEqual([]);
  });

  test('methods and dialogs that are not known here', async () => {
    const counted = startCounting();
    scene.ann.send(scene.invite({ callId: fresh('register') }).replaceAll('INVITE', 'REGISTER'), scene.port);
    expect(headerValue(await scene.ann.response(405, 'REGISTER'), 'allow')).toContain('INVITE');
    const text = scene.invite({ callId: fresh('call') });
    scene.ann.send(laterText('BYE', text, { to: '<sip:x@127.0.0.1>;tag=1', sequence: 2 }), scene.port);
    await scene.ann.response(481, 'BYE');
    scene.ann.send(laterText('CANCEL', text, { to: '<sip:x@127.0.0.1>', sequence: 1 }), scene.port);
    await scene.ann.response(481, 'CANCEL');
    scene.ann.send(laterText('ACK', text, { to: '<sip:x@127.0.0.1>;tag=1', sequence: 1 }), scene.port);
    scene.ann.send(scene.options(), scene.port);
    await scene.ann.response(200, 'OPTIONS');
    expect(counted('strayAcknowledgements')).toBe(1);
  });

  test('a Route to another machine is not followed', async () => {
    const callId = fresh('call');
    const { text, to, routes } = await scene.establish(callId);
    const headers = [...routes, 'Route: <sip:192.0.2.1:5060;lr>'];
    scene.ann.send(laterText('BYE', text, { to, sequence: 2, headers }), scene.port);
    scene.cheap.answer(await scene.cheap.request('BYE', callId), 200, scene.port);
    await scene.ann.response(200, 'BYE');
  });
});
