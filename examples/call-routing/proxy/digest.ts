// Digest authentication of callers (RFC 3261 §22 with RFC 8760: SHA-256, never MD5). A nonce says by itself when it was made and
// for which address, and bears our mark: strangers cost no memory. What a nonce has been used for is remembered only for those
// who knew the password; see `NonceUse`.
import { Buffer } from 'node:buffer';
import { createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { splitList } from '../sip/fields.ts';
import { addressText } from '../sip/matching.ts';
import type { Address, ReceivedRequest, SipHeader } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';
import { NonceUse } from './nonce-use.ts';

export interface DigestUser {
  /** The account that pays for this user's calls. */
  readonly account: string;
  /** `digestSecret(user, realm, password)`: the password itself is not needed here. */
  readonly secret: string;
}

export interface DigestOptions {
  readonly realm: string;
  readonly users: Readonly<Record<string, DigestUser>>;
  /** How long a nonce may be used; then the client gets a new one, without asking its user. Default: 60 s. */
  readonly nonceLifetimeMs?: number;
}

/** In hexadecimal, as RFC 8760 calls it: H(user:realm:password). */
export function digestSecret(user: string, realm: string, password: string): string {
  return hash('sha256', `${user}:${realm}:${password}`, 'hex');
}

export type DigestCheck =
  | { readonly kind: 'right'; readonly account: string }
  /**
   * `stale`: with a nonce that is too old, of another address, or used up. `none`: no credentials for us. `hasNonce`: with one that
   * we have sent to this address, however long ago: the sender reads what goes there.
   */
  | { readonly kind: 'none' | 'wrong' | 'stale'; readonly hasNonce: boolean };

const defaultNonceLifetimeMs = 60_000;

export class Digest {
  readonly #realm: string;
  /** With their names as they are written here: a name out of a message would keep that. */
  readonly #users: ReadonlyMap<string, DigestUser & { readonly name: string }>;
  readonly #lifetimeMs: number;
  readonly #secret = randomBytes(32);
  readonly #used: NonceUse;
  /** Of users that there are not: they take as long as others. */
  readonly #nobodysSecret: string;

  constructor({ realm, users, nonceLifetimeMs = defaultNonceLifetimeMs }: DigestOptions) {
    this.#realm = realm;
    this.#users = new Map(Object.entries(users).map(([name, user]) => [name, { ...user, name }]));
    this.#lifetimeMs = nonceLifetimeMs;
    this.#used = new NonceUse(nonceLifetimeMs);
    this.#nobodysSecret = digestSecret('', realm, randomBytes(16).toString('hex'));
  }

  challenge(from: Address, isStale: boolean): SipHeader {
    const payload = Buffer.alloc(22);
    payload.writeUIntBE(Math.floor(performance.now()), 0, 6);
    randomBytes(16).copy(payload, 6);
    const nonce = `${payload.toString('base64url')}.${this.#mark(payload, from)}`;
    const stale = isStale ? ', stale=true' : '';
    const value = `Digest realm="${this.#realm}", nonce="${nonce}", algorithm=SHA-256, qop="auth"${stale}`;
    return makeHeader('Proxy-Authenticate', value);
  }

  check(request: ReceivedRequest, from: Address): DigestCheck {
    const given = this.#credentials(request);
    if (!given) return { kind: 'none', hasNonce: false };
    const [user, nonce, uri] = [given.get('username') ?? '', given.get('nonce') ?? '', given.get('uri') ?? ''];
    const [count, clientNonce] = [given.get('nc') ?? '', given.get('cnonce') ?? ''];
    const isWellFormed = /^[0-9a-f]{8}$/i.test(count) && given.get('qop') === 'auth' && clientNonce !== '';
    const isSha256 = (given.get('algorithm') ?? '').toUpperCase() === 'SHA-256';
    const madeAt = this.#madeAt(nonce, from);
    const hasNonce = madeAt !== undefined;
    // The address that it signs must be the one that is called: else one call's credentials would pay for another.
    if (!isWellFormed || !isSha256 || uri !== request.uri) return { kind: 'wrong', hasNonce };
    // Before the password is looked at (RFC 7616 §3.3): a guess says nothing to who does not read our answers.
    if (madeAt === undefined || performance.now() - madeAt >= this.#lifetimeMs) return { kind: 'stale', hasNonce };
    const known = this.#users.get(user);
    const own = hash('sha256', `${request.method}:${uri}`, 'hex');
    const secret = known?.secret ?? this.#nobodysSecret;
    const expected = hash('sha256', `${secret}:${nonce}:${count}:${clientNonce}:auth:${own}`, 'hex');
    const isRight = isEqual(expected, (given.get('response') ?? '').toLowerCase());
    if (!isRight || !known) return { kind: 'wrong', hasNonce };
    if (!this.#used.take(known.name, nonce, madeAt, Number.parseInt(count, 16))) return { kind: 'stale', hasNonce };
    return { kind: 'right', account: known.account };
  }

  /** The fields of the one Proxy-Authorization for our realm. */
  #credentials({ headers }: ReceivedRequest): ReadonlyMap<string, string> | undefined {
    for (const { key, value } of headers) {
      if (key !== 'proxy-authorization' || !/^digest\s/i.test(value)) continue;
      const fields = new Map<string, string>();
      for (const part of splitList(value.slice('digest '.length))) {
        const at = part.indexOf('=');
        if (at > 0) fields.set(part.slice(0, at).trim().toLowerCase(), unquote(part.slice(at + 1).trim()));
      }
      if (fields.get('realm') === this.#realm) return fields;
    }
    return undefined;
  }

  /** When a nonce of ours for this address was made. */
  #madeAt(nonce: string, from: Address): number | undefined {
    const [text = '', mark = ''] = nonce.split('.');
    const payload = Buffer.from(text, 'base64url');
    // Only as we have written it: another spelling of one nonce would be another one to `NonceUse`.
    if (payload.length !== 22 || payload.toString('base64url') !== text) return undefined;
    if (nonce !== `${text}.${mark}` || !isEqual(this.#mark(payload, from), mark)) return undefined;
    return payload.readUIntBE(0, 6);
  }

  #mark(payload: Buffer, from: Address): string {
    const mark = createHmac('sha256', this.#secret).update(payload).update(addressText(from), 'latin1');
    return mark.digest('base64url').slice(0, 22);
  }
}

function unquote(text: string): string {
  return text.length >= 2 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replace(/\\(.)/g, '$1')
    : text;
}

function isEqual(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1')];
  return left.length === right.length && timingSafeEqual(left, right);
}
