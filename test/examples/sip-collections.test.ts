// Whatever of the router outlives a message has an owner who takes out what was put in, a bound of entries, and one of bytes: each
// collection is listed here with all three, or it is not there.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { auditKey } from '../../examples/call-routing/back-office/audit-trail.ts';

const root = fileURLToPath(new URL('../../examples/call-routing', import.meta.url));

const owners: Readonly<Record<string, string>> = {
  'proxy/admission.ts peers': 'the configuration',
  'proxy/call-clock.ts timers': 'stop(); one for each answered call',
  'proxy/calls.ts callees': "the call's end; forksLimit, sideLimitBytes each",
  'proxy/calls.ts calls': "the call's end; callsLimit, bytesPerCall for each of the limit",
  'proxy/calls.ts ways': 'two for each callee; their texts are the sides',
  'proxy/nonce-use.ts users': 'one for each user of the configuration; noncesPerUser of 53 bytes each',
  'routing/credit.ts heldMicros': 'release(); accounts that exist',
  'routing/credit.ts holds': 'release(), when the call has failed or is paid; callsLimit, fixed size each',
  'routing/live-states.ts entries': 'accounts and bids that the operator has made: as many as are in the log',
  'routing/measures.ts histograms': 'four',
  'routing/recovery.ts open': "the call's end; an id each",
  'proxy/call-rates.ts buckets': 'accounts that may call; fixed size each',
  'routing/refusal-limit.ts before': 'each minute; accounts that may call',
  'routing/refusal-limit.ts lately': 'each minute; accounts that may call',
  'routing/refusal-limit.ts ringing': 'end(); callsLimit, an id each',
  'routing/refusal-limit.ts ringingOf': 'end(); accounts that may call',
  'sip/bounded-table.ts entries': 'its lifetime; the limit of the table',
  'sip/endpoint.ts clients': 'its lifetime; transactionsLimit, and Room for bytes',
  'sip/endpoint.ts servers': 'its lifetime; transactionsLimit, and Room for bytes',
  'sip/quota.ts held': 'release(); not more than what it counts',
};
const weak = new Set(['proxy/calls.ts charges', 'proxy/in-dialog.ts cancels', 'proxy/proxy.ts attempts']);

const initialised =
  /^ {2}(?:readonly |static )*#?(\w+)(?:: [^=\n]+)? = (?:new (?:Map|Set|WeakMap|WeakSet|BoundedTable)\b|\[\];)|^(?:const|let) (\w+)(?:: [^=\n]+)? = new Map\b[^(]*\(\);/gm;
const tables = /^ {2}readonly #(\w+): BoundedTable</gm;
const folders = ['domain', 'proxy', 'routing', 'sip'];

test('an entry of the audit trail takes the place of one that is old', () => {
  const keys = new Set(Array.from({ length: 30 }, (_, index) => auditKey(1 + index * 500_000)));
  expect(keys.size).toBe(2);
});

test('each collection of the router has an owner, and a bound in entries and in bytes', () => {
  const found = new Set<string>();
  for (const folder of folders) {
    for (const file of readdirSync(join(root, folder))) {
      const text = readFileSync(join(root, folder, file), 'utf8');
      for (const pattern of [initialised, tables]) {
        for (const match of text.matchAll(pattern)) found.add(`${folder}/${file} ${match[1] ?? match[2]}`);
      }
    }
  }
  found.delete('sip/kept.ts noParameters');
  const listed = [...Object.keys(owners), ...weak];
  expect([...found].filter((one) => !listed.includes(one)).sort()).toEqual([]);
  expect(listed.filter((one) => !found.has(one)).sort()).toEqual([]);
});
