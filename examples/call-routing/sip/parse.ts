// Datagram → message. Throws MalformedSip and nothing else, whatever the bytes; a test feeds it random ones.
import { Buffer } from 'node:buffer';
import { parseNameAddress, parseSequence, parseVia, parseViaForAnswer, splitList } from './fields.ts';
import { MalformedSip } from './malformed.ts';
import type { Envelope, ReceivedMessage, SipHeader } from './message.ts';
import { headerValue, makeHeader } from './message.ts';

const headersLimit = 128;
const emptyBody: Buffer = Buffer.alloc(0);
/** Start line and headers; with it, the dearest datagram costs about a millisecond. */
const headLimitBytes = 16_384;
const bodyLimitBytes = 16_384;
const looksLikeRequest = /^(?!SIP\/)\S[^\n]*\sSIP\/\d{1,3}\.\d{1,3}$/i;
const requestLine = /^([!%'*+\-.\w`~]+) +(\S+) +SIP\/(\d{1,3}\.\d{1,3})$/i;
const statusLine = /^SIP\/2\.0 +([1-6]\d\d)(?: (.*))?$/i;
const token = /^[!%'*+\-.\w`~]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const controlCharacters = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/;
const listHeaders: ReadonlySet<string> = new Set(['via', 'route', 'record-route']);
/** A second one contradicts the first: a proxy and the next hop could each believe another (RFC 4475 §3.3.8, §3.3.9). */
const singleHeaders: ReadonlySet<string> = new Set([
  'call-id',
  'content-length',
  'content-type',
  'cseq',
  'expires',
  'from',
  'max-forwards',
  'to',
]);

/** @throws MalformedSip */
export function parseMessage(datagram: Buffer): ReceivedMessage {
  const { lines, bodyStart, isTooLong } = splitHead(datagram);
  const startLine = lines[0]!;
  const { headers, defect } = parseHeaders(lines);
  const status = statusLine.exec(startLine);
  const request = status ? null : requestLine.exec(startLine);
  if (!status && !looksLikeRequest.test(startLine)) throw new MalformedSip('neither a request line nor a status line');
  try {
    if (!status && !request) throw new MalformedSip('a request line that is none');
    if (isTooLong) throw new MalformedSip(`more than ${headLimitBytes} bytes before the body`, 513);
    if (request && request[3] !== '2.0') throw new MalformedSip(`version ${request[3]} of SIP`, 505);
    if (defect) throw new MalformedSip(defect);
    if (bodyStart === undefined) throw new MalformedSip('no empty line after the headers');
    const envelope = parseEnvelope(headers);
    const content = { headers: headers.filter(({ key }) => key !== 'content-length'), envelope };
    const body = measureBody(datagram.subarray(bodyStart), headerValue({ headers }, 'content-length'));
    if (status) return { kind: 'response', status: Number(status[1]), reason: status[2] ?? '', ...content, body };
    const [, method, uri] = request as unknown as [string, string, string];
    if (envelope.method !== method) throw new MalformedSip('CSeq names another method than the request line');
    return { kind: 'request', method, uri, ...content, body };
  } catch (error) {
    const mayAnswer = !status && !/^ACK\s/i.test(startLine);
    throw mayAnswer && error instanceof MalformedSip ? withAnswer(error, headers) : error;
  }
}

/** Lines up to the empty one, continuation lines joined (§7.3.1), empty lines before the first skipped (§7.5). */
function splitHead(datagram: Buffer): { lines: string[]; bodyStart: number | undefined; isTooLong: boolean } {
  let start = 0;
  while (datagram[start] === 0x0d || datagram[start] === 0x0a) start++;
  const strict = datagram.indexOf('\r\n\r\n', start, 'latin1');
  const lenient = strict < 0 ? datagram.indexOf('\n\n', start, 'latin1') : -1;
  const end = strict < 0 ? lenient : strict;
  const headEnd = end < 0 ? datagram.length : end;
  const isTooLong = headEnd - start > headLimitBytes;
  const head = datagram.toString('latin1', start, isTooLong ? start + headLimitBytes : headEnd);
  const lines: string[] = [];
  for (const line of head.split(/\r?\n/)) {
    if (/^[ \t]/.test(line) && lines.length > 1) lines.push(`${lines.pop()} ${line.trim()}`);
    else lines.push(line);
  }
  if (lines.some(hasControlCharacter)) throw new MalformedSip('a control character before the body');
  return { lines, bodyStart: end < 0 ? undefined : end + (strict < 0 ? 2 : 4), isTooLong };
}

/**
 * One that stands outside of a quoted text (§25.1, quoted-pair), or in one that has no end. In one pass: by an expression each
 * quote would begin a search to the end of the line.
 */
function hasControlCharacter(line: string): boolean {
  if (!controlCharacters.test(line)) return false;
  let isQuoted = false;
  let isFoundInside = false;
  for (let i = 0; i < line.length; i++) {
    const character = line[i]!;
    if (character === '"') {
      isQuoted = !isQuoted;
      isFoundInside = false;
    } else if (isQuoted && character === '\\' && i + 1 < line.length) {
      isFoundInside ||= controlCharacters.test(line[++i]!);
    } else if (controlCharacters.test(character)) {
      if (!isQuoted) return true;
      isFoundInside = true;
    }
  }
  return isFoundInside; // the last quote has no end
}

/** The headers that can be read, of single ones the first, and the first thing that is wrong with the others. */
function parseHeaders(lines: readonly string[]): { headers: SipHeader[]; defect: string | undefined } {
  const headers: SipHeader[] = [];
  const seen = new Set<string>();
  let defect: string | undefined;
  const add = (header: SipHeader): void => {
    if (singleHeaders.has(header.key) && seen.has(header.key)) {
      defect ??= `two ${header.key} headers`;
      return;
    }
    seen.add(header.key);
    headers.push(header);
  };
  for (const line of lines.slice(1, headersLimit)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trimEnd();
    if (!token.test(name) || line.includes('\r')) {
      if (line !== '') defect ??= line.includes('\r') ? 'a bare carriage return' : 'a header line without a name';
      continue;
    }
    const header = makeHeader(name, line.slice(colon + 1).trim());
    if (!listHeaders.has(header.key)) {
      add(header);
      continue;
    }
    try {
      for (const value of splitList(header.value)) {
        if (value === '') defect ??= `an empty element in ${header.name}`;
        else add({ ...header, value });
      }
    } catch (error) {
      defect ??= (error as MalformedSip).message;
    }
  }
  if (lines[0]!.includes('\r')) defect ??= 'a bare carriage return';
  if (lines.length > headersLimit || headers.length > headersLimit) defect ??= `more than ${headersLimit} headers`;
  return { headers, defect };
}

function parseEnvelope(headers: readonly SipHeader[]): Envelope {
  const required = (key: string): string => {
    const value = headerValue({ headers }, key);
    if (!value) throw new MalformedSip(`no ${key} header`);
    return value;
  };
  const [via] = headers.filter(({ key }) => key === 'via').map(({ value }) => parseVia(value));
  if (!via) throw new MalformedSip('no via header');
  const fromTag = parseNameAddress(required('from')).parameters.get('tag');
  if (!fromTag) throw new MalformedSip('no tag in From');
  const toTag = parseNameAddress(required('to')).parameters.get('tag') ?? '';
  return { via, callId: required('call-id'), ...parseSequence(required('cseq')), fromTag, toTag };
}

/** A body longer than Content-Length is cut, a shorter one is refused; without it, UDP delimits the body (§18.3). */
function measureBody(rest: Buffer, contentLength: string | undefined): Buffer {
  if (contentLength === undefined) return limitBody(rest);
  if (!/^\d{1,9}$/.test(contentLength)) throw new MalformedSip('Content-Length is no number');
  if (Number(contentLength) > rest.length) throw new MalformedSip('the body is shorter than Content-Length says');
  return limitBody(rest.subarray(0, Number(contentLength)));
}

/** A copy in memory of its own: a part of the datagram, or of a block that others share, would keep all of it. */
function limitBody(body: Buffer): Buffer {
  if (body.length > bodyLimitBytes) throw new MalformedSip(`a body of more than ${bodyLimitBytes} bytes`, 513);
  if (body.length === 0) return emptyBody;
  const copy = Buffer.allocUnsafeSlow(body.length);
  copy.set(body);
  return copy;
}

/** A refused request is answered wherever its Via can be read; what it lacks beyond that, the answer lacks, too. */
function withAnswer(error: MalformedSip, headers: readonly SipHeader[]): MalformedSip {
  try {
    const via = parseViaForAnswer(headerValue({ headers }, 'via') ?? '');
    return new MalformedSip(error.message, error.status, { headers, via });
  } catch {
    return error;
  }
}
