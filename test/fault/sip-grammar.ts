// Datagrams from a grammar: requests and answers whose every part is one of several, legal, odd, or taken from what was read on
// the way (`seen`); then, at times, bytes are cut, doubled or changed.
import { oneOf, type Random } from '../random.ts';

export interface Seen {
  readonly callIds: readonly string[];
  readonly tags: readonly string[];
  readonly branches: readonly string[];
  readonly uris: readonly string[];
  /** Whole Proxy-Authorization headers. */
  readonly credentials: readonly string[];
  /** Whole messages. */
  readonly texts: readonly string[];
}

const methods = ['INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS', 'REGISTER', 'INFO', 'UPDATE', 'PRACK', 'SUBSCRIBE', 'x'];
const statuses = [
  '100 Trying',
  '180 Ringing',
  '183 Progress',
  '200 OK',
  '302 Moved',
  '407 Proxy',
  '481 None',
  '486 Busy',
  '500 No',
  '603 Decline',
  '699 ',
];
const oddities = [
  '',
  ' ',
  ';',
  ',',
  '"',
  '<',
  '>',
  '\\',
  '%00',
  '%34',
  '\u00ff',
  '\r\n ',
  ';;',
  ',,',
  '[',
  ']',
  '@',
  ':',
  '\t',
  '0',
  '-1',
  '2147483647',
  '99999999999',
];

export class Grammar {
  readonly #random: Random;
  #names = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** One that was not there before, most of the time. */
  name(prefix: string): string {
    this.#names++;
    return `${prefix}${this.#names}${this.#below(1 << 30).toString(36)}`;
  }

  message(seen: Seen, ownPort: number): string {
    const dice = this.#below(10);
    if (dice === 0 && seen.texts.length > 0) return this.#bend(this.#pick(seen.texts));
    if (dice === 1 && seen.texts.length > 0) return this.#pick(seen.texts);
    const text = dice < 6 ? this.#request(seen, ownPort) : this.#answer(seen);
    return this.#below(8) === 0 ? this.#bend(text) : text;
  }

  #request(seen: Seen, ownPort: number): string {
    const method = this.#pick(methods);
    const uri = this.#one(seen.uris, () => `sip:${this.#user()}@127.0.0.1${this.#odd()}`);
    const via = `Via: SIP/2.0/UDP 127.0.0.66:${ownPort}${this.#sometimes(';rport')};branch=${this.#branch(seen)}${this.#odd()}`;
    return [`${method} ${uri} SIP/2.0`, via, ...this.#common(seen, method)].join('\r\n');
  }

  #answer(seen: Seen): string {
    const method = this.#pick(['INVITE', 'BYE', 'INFO', 'CANCEL']);
    const vias = [
      `Via: SIP/2.0/UDP 127.0.0.1;branch=${this.#branch(seen)}`,
      'Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx',
    ];
    return [`SIP/2.0 ${this.#pick(statuses)}`, ...vias, ...this.#common(seen, method)].join('\r\n');
  }

  #common(seen: Seen, method: string): string[] {
    const tag = (): string => this.#one(seen.tags, () => this.name('t'));
    const body = this.#below(4) === 0 ? 'x'.repeat(this.#below(400)) : '';
    const lines = [
      `From: ${this.#sometimes('"A" ')}<sip:${this.#user()}@127.0.0.1>;tag=${tag()}${this.#odd()}`,
      `To: <sip:${this.#user()}@127.0.0.1>${this.#below(3) > 0 ? `;tag=${tag()}` : ''}${this.#odd()}`,
      `Call-ID: ${this.#one(seen.callIds, () => this.name('c'))}`,
      `CSeq: ${this.#pick(['1', '2', '3', '77', '2147483647', '0'])} ${method}${this.#odd()}`,
      `Max-Forwards: ${this.#pick(['70', '70', '1', '0', '255', 'x'])}`,
      `Contact: <sip:x@127.0.0.9:${1 + this.#below(65_535)}>${this.#odd()}`,
    ];
    if (this.#below(3) === 0)
      lines.push(this.#one(seen.credentials, () => 'Proxy-Authorization: Digest username="dora"'));
    if (this.#below(4) === 0) lines.push(`Route: <sip:127.0.0.9:${1 + this.#below(65_535)};lr>`);
    if (this.#below(6) === 0) lines.push(`X-${this.name('h')}: ${this.#odd()}${this.#odd()}`);
    return [...lines, `Content-Length: ${body.length}`, '', body];
  }

  #bend(text: string): string {
    let bent = text;
    for (let edits = 1 + this.#below(4); edits > 0; edits--) {
      const at = this.#below(bent.length + 1);
      const cut = this.#below(12);
      bent = bent.slice(0, at) + this.#pick(oddities).repeat(1 + this.#below(6)) + bent.slice(at + cut);
    }
    return bent;
  }

  #branch(seen: Seen): string {
    return this.#one(seen.branches, () => `z9hG4bK${this.name('b')}`);
  }

  #user(): string {
    return this.#pick(['4412', '+4412', '%34412', 'ann', 'bob', 'dora', '1', '', this.name('u')]);
  }

  /** As often what was seen as something else. */
  #one(seen: readonly string[], other: () => string): string {
    return seen.length > 0 && this.#below(2) === 0 ? this.#pick(seen) : other();
  }

  #odd(): string {
    return this.#below(12) === 0 ? this.#pick(oddities) : '';
  }

  #sometimes(text: string): string {
    return this.#below(3) === 0 ? text : '';
  }

  #pick(from: readonly string[]): string {
    return oneOf(this.#random, from);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
