// Message → datagram. Parsing the result gives the same message again. What is kept is kept as text: a small Buffer is a part of a
// large block that many share, and would keep all of it.
import { Buffer } from 'node:buffer';
import type { SipMessage } from './message.ts';

export function serialiseMessage(message: SipMessage): Buffer {
  return Buffer.from(serialiseText(message), 'latin1');
}

/** In latin1. */
export function serialiseText(message: SipMessage): string {
  const { headers, body } = message;
  const lines = [
    message.kind === 'request'
      ? `${message.method} ${message.uri} SIP/2.0`
      : `SIP/2.0 ${message.status} ${message.reason}`,
  ];
  for (const { name, value } of headers) lines.push(`${name}: ${value}`);
  lines.push(`Content-Length: ${body.length}`, '', body.length === 0 ? '' : body.toString('latin1'));
  return lines.join('\r\n');
}
