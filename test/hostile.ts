// Values that no door may let in, by what is wrong with them: for the tests that go round the doors, and for the faults of
// the family `misuse`.

/** Lists within each other, `depth` of them. */
export const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

const cycle: Record<string, unknown> = {};
cycle.self = [cycle];

/** Payloads, and values anywhere within one. */
export const hostileData: Readonly<Record<string, unknown>> = {
  'a list nested 202 deep': nested(202),
  'an object nested 300 deep': Array.from({ length: 300 }).reduce((inner) => ({ inner }), 1),
  'nested 6,000 deep': nested(6000),
  'a cycle': cycle,
  'a bigint': { n: 1n },
  'a symbol': { s: Symbol('s') },
  'a function': { f: () => {} },
  NaN: { n: Number.NaN },
  Infinity: [Number.POSITIVE_INFINITY],
  'a map': { m: new Map([[1, 2]]) },
  'an invalid date': { d: new Date(Number.NaN) },
  'text with U+0000': { t: 'a\0b' },
  'a key with U+0000': { 'a\0b': 1 },
  'half an emoji': { t: 'x\ud83d' },
  'a key that is half an emoji': { '\ude00': 1 },
  'a getter that throws': {
    get x(): never {
      throw new Error('not today');
    },
  },
  'a toJSON that throws nothing that can be shown': {
    toJSON(): never {
      throw Object.create(null);
    },
  },
  'a revoked proxy': revoked(),
};

/** Payloads as JSON text, which comes by other ways than ours: SQL, files. */
export const hostileJson: Readonly<Record<string, string>> = {
  'a list nested 202 deep': JSON.stringify(nested(202)),
  'objects nested 300 deep': `${'{"a":'.repeat(300)}1${'}'.repeat(300)}`,
  'nested 5,000 deep, which PostgreSQL takes': '['.repeat(5000) + ']'.repeat(5000),
  'nested 50,000 deep': '['.repeat(50_000) + ']'.repeat(50_000),
  'a number beyond every double': '{"n":1e309}',
  'text with U+0000': '"a\\u0000b"',
  'half an emoji': '"\\ud83d"',
  'no JSON': 'NaN',
  nothing: '',
};

/** Metadata. */
export const hostileMetadata: Readonly<Record<string, unknown>> = {
  'a correlationId that no text can be made of': { correlationId: { toString: 'x' } },
  'a correlationId that is a number': { correlationId: 42 },
  'a causationId that is a list': { causationId: ['a'] },
  'a traceparent of 300,000 bytes': { traceparent: 'x'.repeat(300_000) },
  'a source that is true': { source: true },
  'a tenantId with U+0000': { tenantId: 'a\0b' },
  'a commandId cut inside an emoji': { commandId: 'x\ud83d' },
  'a key cut inside an emoji': { 'x\ud83d': 1 },
  '300 KB of metadata': { note: 'x'.repeat(300_000) },
  'metadata nested 202 deep': { note: nested(202) },
  'metadata that is a list': ['correlationId'],
  'metadata that is text': 'correlationId',
  'metadata with toJSON': { toJSON: () => 1 },
};

/** Ids, types, keys: text of the user's that names something. */
export const hostileTexts: Readonly<Record<string, unknown>> = {
  'no text': 7,
  null: null,
  'an object without toString': Object.create(null),
  'a symbol': Symbol('s'),
  'empty text': '',
  'text with U+0000': 'a\0b',
  'text cut inside an emoji': 'x\ud83d',
  'half an emoji alone': '\ude00',
  '5,000 bytes': 'é'.repeat(2500),
};

/** Texts that name members of Object: an ordinary id or key, and no more. */
export const objectMembers: readonly string[] = ['__proto__', 'constructor', 'toString', 'valueOf', 'hasOwnProperty'];

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
