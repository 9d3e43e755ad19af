// A message for each case of RFC 4475, of our own making: what is odd and legal, and what is not legal and comes all the same.
// `target` is the router, so that each one gets as far as it can.

export interface Torture {
  /** The RFC's own name of the case. */
  readonly name: string;
  readonly text: string;
}

interface Parts {
  readonly start?: string;
  readonly via?: string;
  readonly from?: string;
  readonly to?: string;
  readonly sequence?: string;
  readonly more?: readonly string[];
  readonly body?: string;
  readonly length?: string;
}

export function tortureMessages(target: string, name: (prefix: string) => string): Torture[] {
  const uri = `sip:4412@${target}`;
  const message = (method: string, parts: Parts = {}): string => {
    const { body = '', more = [] } = parts;
    return [
      parts.start ?? `${method} ${uri} SIP/2.0`,
      parts.via ?? `Via: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK${name('b')}`,
      parts.from ?? `From: <sip:caller@192.0.2.66>;tag=${name('f')}`,
      parts.to ?? `To: <${uri}>`,
      `Call-ID: ${name('c')}`,
      parts.sequence ?? `CSeq: 9 ${method}`,
      'Max-Forwards: 70',
      'Contact: <sip:caller@192.0.2.66>',
      ...more,
      parts.length ?? `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n');
  };
  const call = (parts: Parts = {}): string => message('INVITE', parts);
  const ask = (parts: Parts = {}): string => message('OPTIONS', parts);
  const to = (value: string): Parts => ({ to: `To: ${value}` });
  const start = (value: string): Parts => ({ start: value });
  const cases: Record<string, string> = {
    wsinv: call({
      start: `INVITE ${uri};unknownparam SIP/2.0`,
      via: `v:  SIP  / 2.0  / UDP\r\n    192.0.2.2;branch=z9hG4bK${name('b')}, SIP/2.0/TCP\r\n spindle.example ;\r\n  branch  =   z9hG4bK9ikj8`,
      to: `TO :\r\n <${uri}>   ;   x = y`,
      sequence: 'cseq: 0009\r\n  INVITE',
      more: [
        's :',
        'NewFangledHeader:   newfangled value\r\n continued newfangled value',
        'UnknownHeaderWithUnusualValue: ;;,,;;,;',
      ],
    }),
    intmeth: message(
      "!interesting-Method0123456789_*+`.%indeed'~",
      to('"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>'),
    ),
    esc01: call(start(`INVITE sip:sips%3Auser%40example.com@${target} SIP/2.0`)),
    escnull: message('REGISTER', to('sip:null-%00-null@example.com')),
    esc02: message('RE%47IST%45R', to('"%Z%45" <sip:resource@example.com>')),
    lwsdisp: ask({ from: `From: caller<sip:caller@example.com>;tag=${name('f')}` }),
    longreq: call({
      to: `To: "I have a user name of ${'extremeley'.repeat(60)} proportion" <sip:user@example.com;${'u'.repeat(300)}>`,
      more: [
        `Unknown-${'Long'.repeat(20)}-Name: ${'unknown-value '.repeat(60)}`,
        ...Array.from({ length: 30 }, (_, i) => `Via: SIP/2.0/TCP sip${i}.example.com`),
      ],
    }),
    dblreq: `${message('REGISTER')}${call({ body: 'v=0\r\n' })}`,
    semiuri: ask(start(`OPTIONS sip:user;par=u%40example.net@${target} SIP/2.0`)),
    transports: ask({
      more: ['UNKNOWN', 'SCTP', 'TLS-SCTP', 'TCP'].map(
        (via) => `Via: SIP/2.0/${via} t.example.com;branch=z9hG4bK${name('b')}`,
      ),
    }),
    mpart01: message('MESSAGE', {
      more: ['Content-Type: multipart/mixed;boundary=7a9cbec02ceef655'],
      body: '--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\x01\xff\r\n--7a9cbec02ceef655--',
    }),
    unreason: ask(start('SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe')),
    noreason: ask(start('SIP/2.0 100 ')),
    badinv01: call({ via: `Via: SIP/2.0/UDP 192.0.2.15;;,;,,`, to: `To: "J Rosenberg" <${uri}>;;` }),
    clerr: call({ body: 'v=0\r\n', length: 'Content-Length: 9999' }),
    ncl: call({ body: 'v=0\r\n', length: 'Content-Length: -999' }),
    scalar02: message('REGISTER', {
      sequence: 'CSeq: 36893488147419103232 REGISTER',
      more: ['Expires: 10000000000000000000000000000000000000000000'],
    }),
    scalarlg: ask({
      ...start('SIP/2.0 503 Service Unavailable'),
      sequence: 'CSeq: 9292394834772304023312 OPTIONS',
      more: ['Retry-After: 949302838503028349304023988'],
    }),
    quotbal: call(to(`"Mr. J. User <${uri}>`)),
    ltgtruri: call(start(`INVITE <${uri}> SIP/2.0`)),
    lwsruri: call(start(`INVITE ${uri}; lr SIP/2.0`)),
    lwsstart: call(start(`INVITE  ${uri}  SIP/2.0`)),
    trws: ask(start(`OPTIONS ${uri} SIP/2.0  `)),
    escruri: call(start(`INVITE ${uri}?Route=%3Csip:sip.example.com%3E SIP/2.0`)),
    baddate: call({ more: ['Date: Fri, 01 Jan 2010 16:00:00 EST'] }),
    regbadct: message('REGISTER', { more: ['Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E'] }),
    badaspec: ask(to('"Watson, Thomas" < sip:t.watson@example.org >')),
    baddn: ask({
      from: `From: Bell, Alexander <sip:a.g.bell@example.com>;tag=${name('f')}`,
      ...to('Watson, Thomas <sip:t.watson@example.org>'),
    }),
    badvers: ask({
      ...start(`OPTIONS ${uri} SIP/7.0`),
      via: `Via: SIP/7.0/UDP c.example.com;branch=z9hG4bK${name('b')}`,
    }),
    mismatch01: ask({ sequence: 'CSeq: 8 INVITE' }),
    mismatch02: message('NEWMETHOD', { sequence: 'CSeq: 8 INVITE' }),
    bigcode: ask(start('SIP/2.0 4294967301 better not break the receiver')),
    badbranch: ask({ via: 'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK' }),
    insuf: `INVITE ${uri} SIP/2.0\r\nCSeq: 193942 INVITE\r\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bK${name('b')}\r\nContent-Length: 0\r\n\r\n`,
    unkscm: ask(start('OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0')),
    novelsc: ask(start('OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0')),
    unksm2: message('REGISTER', {
      from: `From: <http://www.example.com>;tag=${name('f')}`,
      ...to('isbn:2983792873'),
      more: ['Contact: <name:John_Smith>'],
    }),
    bext01: ask({
      more: ['Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis', 'Require: nothingSupportsThis'],
    }),
    invut: call({
      more: ['Content-Type: application/unknownformat'],
      body: '<audio>\r\n <pcmu port="443"/>\r\n</audio>',
    }),
    regaut01: message('REGISTER', {
      more: ['Authorization: NoOneKnowsThisScheme opaque-data=here', 'Proxy-Authorization: Digest ,=,,"='],
    }),
    multi01: call({
      more: [
        `Call-ID: ${name('c')}`,
        'CSeq: 59 INVITE',
        'From: sip:other@example.com;tag=2',
        'To: <sip:other@example.com>',
        'Max-Forwards: 5',
      ],
    }),
    mcl01: ask({ more: ['Content-Length: 13'], length: 'Content-Length: 5', body: 'There' }),
    bcast: ask({
      ...start('SIP/2.0 200 OK'),
      via: `Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23`,
    }),
    zeromf: ask().replace('Max-Forwards: 70', 'Max-Forwards: 0'),
    cparam01: message('REGISTER', { more: ['Contact: sip:+19725552222@gw1.example.net;unknownparam'] }),
    cparam02: message('REGISTER', { more: ['Contact: <sip:+19725552222@gw1.example.net;unknownparam>'] }),
    regescrt: message('REGISTER', { more: ['Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>'] }),
    sdp01: call({ more: ['Accept: text/nobodyKnowsThis'], body: 'v=0\r\n' }),
    inv2543: `INVITE ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP iftgw.example.com\r\nFrom: <sip:+13035551111@ift.client.example.net;user=phone>\r\nTo: sip:+16505552222@ss1.example.net;user=phone\r\nCall-ID: ${name('c')}\r\nCSeq: 56 INVITE\r\nRecord-Route: <sip:UserB@example.com;maddr=ss1.example.com>\r\n\r\n`,
  };
  return Object.entries(cases).map(([name, text]) => ({ name, text }));
}
