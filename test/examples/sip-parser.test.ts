// The parser: what it reads it writes back the same, and nothing makes it fail in any way but its own.
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hopsLeft } from '../../examples/call-routing/proxy/forward.ts';
import { loopbackAddress, parseNameAddress, parseUri, parseVia } from '../../examples/call-routing/sip/fields.ts';
import { MalformedSip } from '../../examples/call-routing/sip/malformed.ts';
import type { ReceivedRequest, SipMessage } from '../../examples/call-routing/sip/message.ts';
import { headerValue, makeHeader } from '../../examples/call-routing/sip/message.ts';
import { parseMessage } from '../../examples/call-routing/sip/parse.ts';
import { serialiseMessage } from '../../examples/call-routing/sip/serialise.ts';
import { tortureMessages } from '../fault/sip-torture.ts';
import { fresh, inviteText } from './phone.ts';

function refusal(text: string | Buffer): MalformedSip {
  try {
    parseMessage(Buffer.from(text as string, 'latin1'));
  } catch (error) {
    if (error instanceof MalformedSip) return error;
    throw error;
  }
  throw new Error('was not refused');
}

const invite = inviteText({ from: 'ann', to: '4412', port: 5062 });

// Each is in the INVITE already, in long form or in another spelling.
const singles = [
  'From: <sip:eve@b>;tag=x',
  'f: <sip:eve@b>;tag=x',
  'To: <sip:eve@b>',
  'Call-ID: x',
  'i: x',
  'CSeq: 1 INVITE',
  'Content-Length: 5',
  'l: 0',
  'MAX-FORWARDS: 70',
];

const legal =
  'wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason noreason'.split(' ');
const illegal =
  'badinv01 clerr ncl scalar02 scalarlg quotbal lwsruri badvers mismatch01 mismatch02 bigcode insuf multi01 mcl01'.split(
    ' ',
  );

const word = fc.stringMatching(/^[A-Za-z0-9.-]{1,12}$/);
const text = fc.stringMatching(/^[!-~¡-ÿ]([ -~¡-ÿ]{0,30}[!-~¡-ÿ])?$/);
const extra = fc.array(fc.tuple(fc.stringMatching(/^X-[A-Za-z]{1,10}$/), text), { maxLength: 8 });
const message: fc.Arbitrary<SipMessage> = fc
  .record({ branch: word, callId: word, tag: word, method: fc.constantFrom('INVITE', 'BYE', 'INFO'), extra })
  .chain(({ branch, callId, tag, method, extra }) => {
    const headers = [
      makeHeader('Via', `SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK${branch}`),
      makeHeader('Via', `SIP/2.0/UDP 127.0.0.1:5063;branch=z9hG4bK${tag}`),
      makeHeader('From', `"A, \\"B\\" <C>" <sip:ann@127.0.0.1>;tag=${tag}`),
      makeHeader('To', '<sip:bob@127.0.0.1>'),
      makeHeader('Call-ID', callId),
      makeHeader('CSeq', `7 ${method}`),
      ...extra.map(([name, value]) => makeHeader(name, value)),
    ];
    const body = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    const uri = `sip:${callId}@127.0.0.1:5060`;
    return fc.oneof(
      body.map((body): SipMessage => ({ kind: 'request', method, uri, headers, body })),
      fc
        .tuple(fc.integer({ min: 100, max: 699 }), body)
        .map(([status, body]): SipMessage => ({ kind: 'response', status, reason: 'So it is', headers, body })),
    );
  });

describe('reading and writing', () => {
  test('a message written is read back the same', () => {
    fc.assert(
      fc.property(message, (message) => {
        const { envelope: _, ...read } = parseMessage(serialiseMessage(message));
        expect(read).toEqual(message);
      }),
    );
  });

  test('compact names, folded lines, lists of Via, spaces around the colon and bare newlines are read', () => {
    const lines = [
      'INVITE sip:4412@127.0.0.1 SIP/2.0',
      'v : SIP / 2.0 / UDP 127.0.0.1:5062 ;branch=z9hG4bKa, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKb',
      'f: "Ann, of <hers>"',
      '   <sip:ann@127.0.0.1> ; tag=1',
      't: <sip:4412@127.0.0.1>',
      'i: one',
      'CSEQ: 7  INVITE',
      'l: 2',
      '',
      'hello',
    ];
    const read = parseMessage(Buffer.from(lines.join('\n')));
    expect(read.envelope).toMatchObject({ callId: 'one', sequence: 7, method: 'INVITE', fromTag: '1', toTag: '' });
    expect(read.headers.filter(({ key }) => key === 'via')).toHaveLength(2);
    expect(headerValue(read, 'via')).toContain('z9hG4bKa');
    expect(read.body.toString()).toBe('he');
  });

  test('what looks odd and is legal is read', () => {
    const odd = invite
      .replace(/From: .*\r\n/, 'From: "a \\\x07 \\\0" <sip:ann@127.0.0.1>;x="; ,tag=evil";tag=1\r\n')
      .replace('Max-Forwards: 70', 'Max-Forwards: 0068\r\nX: ;;,,;\r\nContact: <sip:a@b>, <sip:c@d>');
    const read = parseMessage(Buffer.from(odd, 'latin1'));
    expect(read.envelope.fromTag).toBe('1');
    expect(hopsLeft(read as ReceivedRequest)).toBe(68);
    for (const nonsense of ['256', '300', '-1', '7 0', 'x', '0x1']) {
      const request = parseMessage(
        Buffer.from(invite.replace('Max-Forwards: 70', `Max-Forwards: ${nonsense}`), 'latin1'),
      );
      expect([nonsense, hopsLeft(request as ReceivedRequest)]).toEqual([nonsense, undefined]);
    }
  });

  test('addresses', () => {
    expect(parseNameAddress('sip:a@b;tag=1')).toMatchObject({ uri: 'sip:a@b' });
    expect(parseUri('sip:ann:secret@127.0.0.1:5070;transport=udp?x=y')).toMatchObject({ user: 'ann', port: 5070 });
    expect(parseUri('sip:%34%34%31%32@b').user).toBe('4412');
    expect(parseUri('tel:+4412')).toMatchObject({ scheme: 'tel', user: '+4412' });
    expect(parseVia('SIP/2.0/UDP [::1]:5062;branch=x')).toMatchObject({ host: '[::1]', port: 5062 });
    expect(loopbackAddress('sip:a@localhost')).toEqual({ host: '127.0.0.1', port: 5060 });
    for (const elsewhere of ['sip:a@192.0.2.1', 'sip:a@127.0.0.999', 'sips:a@127.0.0.1', 'tel:127.0.0.1', 'nonsense']) {
      expect(loopbackAddress(elsewhere)).toBeUndefined();
    }
  });
});

describe('refusing', () => {
  const without = (header: string): string => invite.replace(new RegExp(`^${header}:.*\r\n`, 'm'), '');

  test.each([
    ['a header line without a name', invite.replace('Max-Forwards: 70', ': 70')],
    ['a body that is cut short', invite.replace(/Content-Length: \d+/, 'Content-Length: 999')],
    ['a length that is none', invite.replace(/Content-Length: \d+/, 'Content-Length: -1')],
    ['another method in CSeq', invite.replace('1 INVITE', '1 BYE')],
    ['a CSeq beyond 2^31', invite.replace('1 INVITE', '2147483648 INVITE')],
    ['no tag in From', invite.replace(/;tag=[^\r]*/, '')],
    ['too many headers', invite.replace('Max-Forwards', `${'X: y\r\n'.repeat(200)}Max-Forwards`)],
    ['no empty line', invite.slice(0, invite.indexOf('\r\n\r\n'))],
    ['no Call-ID', without('Call-ID')],
    ['a space in the request line', invite.replace(' SIP/2.0\r\n', '; lr SIP/2.0\r\n')],
    ['a bare carriage return', invite.replace('Max-Forwards: 70', 'Max-Forwards: 70\rX: y')],
    ['a bare carriage return in the request line', invite.replace('4412', '44\r12')],
    ['a continuation of nothing', invite.replace('\r\n', '\r\n X: y\r\n')],
    ['an empty element of Via', invite.replace('Via: ', 'Via: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKx,,')],
    ['an empty Route', invite.replace('Max-Forwards', 'Route: <sip:a@b>, ,<sip:c@d>\r\nMax-Forwards')],
    ['an empty parameter of From', invite.replace(';tag=', ';;tag=')],
    ['two tags in From', invite.replace(';tag=', ';tag=other;tag=')],
    ['text behind an address', invite.replace(/(From: [^;]*)/, '$1 junk')],
    ['a second Via that is none', invite.replace('Max-Forwards', 'Via: SIP/9\r\nMax-Forwards')],
    ...singles.map((line): [string, string] => [
      `two of ${line}`,
      invite.replace('Max-Forwards', `${line}\r\nMax-Forwards`),
    ]),
  ])('%s, with what an answer needs', (_, text) => {
    expect(refusal(text)).toMatchObject({ status: 400, answerable: { via: { host: '127.0.0.1' } } });
  });

  test('what would be dear to read is refused before it is read', () => {
    const long = refusal(invite.replace('Max-Forwards', `X: ${'y'.repeat(17_000)}\r\nMax-Forwards`));
    expect(long).toMatchObject({ status: 513, answerable: { via: { host: '127.0.0.1' } } });
    const body = 'x'.repeat(16_385);
    expect(refusal(invite.replace(/Content-Length: 5\r\n\r\nv=0\r\n/, `\r\n${body}`))).toMatchObject({ status: 513 });
    const parts = (text: string): string => Array.from({ length: 100 }, (_, i) => text.replace('#', `${i}`)).join('');
    expect(
      refusal(invite.replace('Max-Forwards', `Route: <sip:a@b>${parts(',<sip:#@b>')}\r\nMax-Forwards`)).message,
    ).toMatch(/64/);
    expect(refusal(invite.replace(';tag=', `${parts(';p#=1')};tag=`)).message).toMatch(/64/);
  });

  test('another version of SIP is 505', () => {
    expect(refusal(invite.replace('SIP/2.0\r\n', 'SIP/3.0\r\n'))).toMatchObject({ status: 505 });
    expect(refusal(invite.replaceAll('SIP/2.0', 'SIP/7.0'))).toMatchObject({ status: 505, answerable: {} });
  });

  test('the answer holds each single header once', () => {
    const { answerable } = refusal(invite.replace('Max-Forwards', 'f: <sip:eve@b>;tag=x\r\nMax-Forwards'));
    expect(answerable!.headers.filter(({ key }) => key === 'from')).toHaveLength(1);
  });

  test('a body is delimited by one length, not by the last of several', () => {
    const smuggled = invite.replace(/Content-Length: \d+/, 'Content-Length: 0\r\nl: 5');
    expect(refusal(smuggled).message).toBe('two content-length headers');
  });

  test.each([
    ['noise', 'hello'],
    ['nothing', ''],
    ['no Via', without('Via')],
    ['a Via that is none', invite.replace('SIP/2.0/UDP', 'SIP/9/UDP')],
    ['a zero byte', invite.replace('ann', 'a\0n')],
    ['an ACK, which has no answer', invite.replaceAll('INVITE', 'ACK').replace('Max-Forwards', '')],
    ['a response', 'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1\r\n\r\n'],
  ])('%s, without an answer', (_, text) => {
    expect(refusal(text).answerable).toBeUndefined();
  });
});

test('of the cases of RFC 4475, what is legal is read, and what two readers could read differently is refused', () => {
  const outcomes = tortureMessages('127.0.0.1:5060', fresh).map(({ name, text }): [string, string] => {
    try {
      parseMessage(Buffer.from(text, 'latin1'));
      return ['read', name];
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedSip);
      return ['refused', name];
    }
  });
  const names = (outcome: string): string[] => outcomes.filter(([what]) => what === outcome).map(([, name]) => name);
  expect(outcomes.length).toBeGreaterThanOrEqual(49);
  expect(names('read')).toEqual(expect.arrayContaining(legal));
  expect(names('refused')).toEqual(expect.arrayContaining(illegal));
});

describe('whatever the bytes', () => {
  const survives = (bytes: Uint8Array): void => {
    try {
      parseMessage(Buffer.from(bytes));
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedSip);
    }
  };

  test('random ones', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2_000 }), survives), { numRuns: 2_000 });
  });

  test('a whole message with pieces replaced, repeated or cut out', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.constantFrom('<', '>', '"', '\\', ';', ',', ':', '\r\n', '\r\n ', '\r\n\r\n', '[', ']', ';tag=', '@', '\0'),
    );
    const edit = fc.record({
      at: fc.nat(invite.length),
      cut: fc.nat(40),
      piece,
      times: fc.integer({ min: 1, max: 50 }),
    });
    const mutated = fc.array(edit, { minLength: 1, maxLength: 6 }).map((edits) =>
      edits.reduce((text, { at, cut, piece, times }) => {
        return text.slice(0, at) + piece.repeat(times) + text.slice(at + cut);
      }, invite),
    );
    fc.assert(
      fc.property(mutated, (text) => survives(Buffer.from(text, 'latin1'))),
      { numRuns: 2_000 },
    );
  });

  test('the longest datagrams of what makes scanners slow', () => {
    for (const piece of ['<', '"', '\\', ';', ',', ' ', '\r\n ', ':', '<sip:', '"a" ', '; tag', 'a b ', '\r\n']) {
      for (const header of ['To: ', 'Via: ', 'Route: ', 'CSeq: ', '', 'From: "']) {
        const flood = invite.replace('Max-Forwards: 70', `${header}${piece.repeat(60_000 / piece.length)}`);
        survives(Buffer.from(flood, 'latin1'));
      }
    }
  });
});

test('a control character is refused outside of a quoted text, and in one that has no end', () => {
  const subject = (value: string): string => invite.replace(/\r\n\r\n/, `\r\nSubject: ${value}\r\n\r\n`);
  const isRefused = (value: string): boolean => {
    try {
      parseMessage(Buffer.from(subject(value), 'latin1'));
      return false;
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedSip);
      return true;
    }
  };
  for (const fine of ['"a\\\x01b"', '"\\"\\\x01" x "y"', '"a" b "c\\\x02"', '"\\\\" x'])
    expect(isRefused(fine), fine).toBe(false);
  for (const bad of ['a\x01', '"a" \x01 "b"', '"a\\\x01', '"a" "b\x01', '"\\\\" \x01', '"a\\"\x01']) {
    expect(isRefused(bad), bad).toBe(true);
  }
});

test('quotes without an end cost one pass: a thousand datagrams of them are read', () => {
  // Half a second each where every quote begins a search of its own.
  const hostile = Buffer.from(invite.replace(/\r\n\r\n/, `\r\nSubject: \x01${'\\"'.repeat(7_000)}"\r\n\r\n`), 'latin1');
  for (let i = 0; i < 1_000; i++) expect(() => parseMessage(hostile)).toThrow(MalformedSip);
}, 60_000);
