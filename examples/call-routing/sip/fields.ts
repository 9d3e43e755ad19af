// The structured header fields that routing needs: Via, CSeq, name-addr with its tag, URIs. Scanners, not expressions with
// nested repetition, so that no input makes them slow.
import { MalformedSip } from './malformed.ts';
import type { Address, Via } from './message.ts';

/** Of a list's elements, or of a field's parameters: more make a message dear to read, and serve nothing. */
const partsLimit = 64;

/** Split at commas that stand outside quotes and angle brackets. */
export const splitList = (value: string): string[] => splitOutside(value, ',');

function splitOutside(value: string, separator: ',' | ';'): string[] {
  if (!value.includes(separator)) return [value.trim()];
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  let bracketed = false;
  for (let at = 0; at < value.length; at++) {
    const character = value[at];
    if (quoted) {
      if (character === '\\') at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '<') bracketed = true;
    else if (character === '>') bracketed = false;
    else if (character === separator && !bracketed) {
      parts.push(value.slice(start, at).trim());
      if (parts.length >= partsLimit) throw new MalformedSip(`more than ${partsLimit} parts in one field`);
      start = at + 1;
    }
  }
  parts.push(value.slice(start).trim());
  return parts;
}

/** What stands behind the first ';'. An empty one, or a name that comes twice, is refused: which one would count? */
function parseParameters(text: string | undefined): Map<string, string> {
  const parameters = new Map<string, string>();
  if (text === undefined) return parameters;
  for (const part of splitOutside(text, ';')) {
    const [name, value] = splitOnce(part, '=');
    const key = name.trim().toLowerCase();
    if (key === '') throw new MalformedSip('an empty parameter');
    if (parameters.has(key)) throw new MalformedSip(`two parameters ${key}`);
    parameters.set(key, value?.trim() ?? '');
  }
  return parameters;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function parseHostPort(text: string): { host: string; port: number | undefined } {
  const bracket = text.startsWith('[') ? text.indexOf(']') : 0;
  const colon = bracket < 0 ? -1 : text.indexOf(':', bracket);
  const host = (colon < 0 ? text : text.slice(0, colon)).trim();
  const digits = colon < 0 ? undefined : text.slice(colon + 1).trim();
  const port = digits === undefined ? undefined : Number(digits);
  if (!/^[\w.\-[\]:]+$/.test(host)) throw new MalformedSip('no host where one must be');
  if (port !== undefined && (!/^\d{1,5}$/.test(digits!) || port < 1 || port > 65535)) {
    throw new MalformedSip('a port that is none');
  }
  return { host, port };
}

const sentProtocol = /^SIP[ \t]*\/[ \t]*(\d{1,3}\.\d{1,3})[ \t]*\/[ \t]*[!%'*+\-.\w`~]{1,16}[ \t]+([^ \t].*)$/i;

/** `SIP/2.0/UDP host:port;branch=…` (RFC 3261 §20.42). */
export function parseVia(value: string): Via {
  const [sentBy, rest] = splitOnce(value, ';');
  const match = sentProtocol.exec(sentBy.trim());
  if (match?.[1] !== '2.0') throw new MalformedSip('Via is not SIP/2.0/transport host');
  const parameters = parseParameters(rest);
  return { ...parseHostPort(match[2]!), branch: parameters.get('branch') ?? '', parameters };
}

/** Where the answer to a refused request goes: a Via of any version, whatever its parameters. */
export function parseViaForAnswer(value: string): Via {
  const [sentBy, rest = ''] = splitOnce(value, ';');
  const match = sentProtocol.exec(sentBy.trim());
  if (!match) throw new MalformedSip('Via is not SIP/version/transport host');
  const asksForPort = splitOutside(rest, ';').some((part) => /^rport$/i.test(part));
  const parameters = new Map(asksForPort ? [['rport', '']] : []);
  return { ...parseHostPort(match[2]!), branch: '', parameters };
}

/** `1 INVITE`. */
export function parseSequence(value: string): { sequence: number; method: string } {
  const match = /^(\d{1,10})[ \t]+([!%'*+\-.\w`~]+)$/.exec(value);
  const sequence = Number(match?.[1]);
  if (!match || sequence >= 2 ** 31) throw new MalformedSip('CSeq is not a number below 2^31 and a method');
  return { sequence, method: match[2]! };
}

export interface NameAddress {
  readonly uri: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** `"Ann" <sip:ann@host>;tag=…`, or a bare URI whose parameters are then the header's (RFC 3261 §20). */
export function parseNameAddress(value: string): NameAddress {
  let open = 0;
  if (value.startsWith('"')) {
    for (open = 1; open < value.length && value[open] !== '"'; open++) if (value[open] === '\\') open++;
    if (open >= value.length) throw new MalformedSip('a quoted name that does not end');
  }
  open = value.indexOf('<', open);
  if (open < 0) {
    const [uri, parameters] = splitOnce(value, ';');
    return { uri: uri.trim(), parameters: parseParameters(parameters) };
  }
  const close = value.indexOf('>', open);
  if (close < 0) throw new MalformedSip('an address that does not end');
  const behind = value.slice(close + 1).trim();
  if (behind !== '' && !behind.startsWith(';')) throw new MalformedSip('text behind an address');
  return {
    uri: value.slice(open + 1, close).trim(),
    parameters: parseParameters(behind === '' ? undefined : behind.slice(1)),
  };
}

export interface Uri {
  readonly scheme: string;
  readonly user: string;
  readonly host: string;
  readonly port: number | undefined;
}

/** %34 is 4 (RFC 3261 §19.1.4): users are compared decoded. */
function decodeEscapes(user: string): string {
  return user.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** `sip:user@host:port;parameters`, the user decoded. Other schemes keep only their name and text (as `user`). */
export function parseUri(text: string): Uri {
  const [scheme, rest] = splitOnce(text, ':');
  if (!/^[A-Za-z][A-Za-z0-9+.-]*$/.test(scheme) || !rest) throw new MalformedSip('a URI without a scheme');
  if (!/^sips?$/i.test(scheme)) return { scheme: scheme.toLowerCase(), user: rest, host: '', port: undefined };
  const at = rest.lastIndexOf('@');
  const user = at < 0 ? '' : decodeEscapes(splitOnce(rest.slice(0, at), ':')[0]);
  const hostPort = /^[^;?]*/.exec(rest.slice(at + 1))![0];
  return { scheme: scheme.toLowerCase(), user, ...parseHostPort(hostPort) };
}

/** The loopback address that a URI names, or undefined: this router sends nowhere else. */
export function loopbackAddress(uriText: string): Address | undefined {
  try {
    const uri = parseUri(uriText);
    const host = uri.host === 'localhost' ? '127.0.0.1' : uri.host;
    if (uri.scheme !== 'sip' || !isLoopback(host)) return undefined;
    return { host, port: uri.port ?? 5060 };
  } catch {
    return undefined;
  }
}

function isLoopback(host: string): boolean {
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host) && host.split('.').every((part) => Number(part) <= 255);
}
