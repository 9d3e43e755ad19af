// Hostile values in every field of every options object: what cannot be meant gets a typed error where it is given, never an
// untyped one, and is never taken. No servers: all of it has to be refused before anything is reached.
import {
  defineAggregate,
  defineProjection,
  event,
  integration,
  kafka,
  migrate,
  openEventStore,
  postgres,
  type Runtime,
  TrunklineError,
} from '../../src/index.ts';
import { tailEvents } from '../../src/postgres.ts';
import { resolveOptions } from '../../src/runtime/options.ts';
import { Counter } from '../runtime/aggregates.ts';

const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();
const cycle: Record<string, unknown> = {};
cycle.self = cycle;

/** No option takes any of them. */
const nonsense: Readonly<Record<string, unknown>> = {
  'a symbol': Symbol('s'),
  'a bigint': 7n,
  'a revoked proxy': revoked,
  'an object that cannot be shown': Object.create(null, { toString: { value: 'x', enumerable: true } }),
  'a cycle': cycle,
  'an invalid date': new Date(Number.NaN),
  NaN: Number.NaN,
  'a negative fraction': -0.5,
  null: null,
  'a list of lists': [[[]]],
  'text with U+0000': 'a\0b',
  'half an emoji': '\ud83d',
};

/** A door that takes options; what is in order for it, with every field that is to be tried; and what it may take after all. */
export interface OptionsDoor {
  name: string;
  good: object;
  /** Fields that `good` does not need. */
  more: Readonly<Record<string, unknown>>;
  /** Any text and any object is in order there, or any value. */
  any?: Readonly<Record<string, 'record' | 'value'>>;
  call(options: any): unknown;
}

const handle = (): void => {};
const nowhere = 'postgres://nobody@127.0.0.1:1/none';
const brokers = ['127.0.0.1:1'];
const sub = (name: string, option: string, good: object, more: object, any: OptionsDoor['any'] = {}): OptionsDoor => ({
  name: `kafka ${name}`,
  good,
  more: more as Readonly<Record<string, unknown>>,
  any,
  call: (options) => kafka({ brokers, [option]: options } as never),
});

/** Without a runtime. */
export const plainDoors: readonly OptionsDoor[] = [
  {
    name: 'kafka',
    good: { brokers },
    more: {
      clientId: 'c',
      client: 'kafkajs',
      ssl: true,
      sasl: undefined,
      topics: {},
      format: 'trunkline',
      registry: undefined,
      integration: import.meta.url,
      publishing: {},
      batch: {},
      compression: 'none',
      backlogLimit: 1,
      transactionTimeoutMs: 1000,
      requestTimeoutMs: 1000,
      connectTimeoutMs: 1000,
      resumeAfter: 0,
    },
    any: { ssl: 'record' },
    call: kafka,
  },
  sub(
    'topics',
    'topics',
    {},
    {
      prefix: 'p',
      template: '{prefix}.x',
      module: import.meta.url,
      partitions: 1,
      replicationFactor: 1,
      retentionMs: 1,
      cleanupPolicy: 'delete',
      config: {},
      create: true,
      internalPrefix: 'i',
    },
    { config: 'record' },
  ),
  sub(
    'registry',
    'registry',
    { url: 'http://127.0.0.1:1' },
    {
      username: 'u',
      password: 'p',
      token: 't',
      ssl: {},
      compatibility: 'NONE',
      subjects: 'record',
      schemas: {},
    },
    { ssl: 'record' },
  ),
  sub('sasl', 'sasl', { mechanism: 'plain', username: 'u', password: 'p' }, {}),
  sub(
    'sasl by a token',
    'sasl',
    { mechanism: 'oauthbearer', token: 't' },
    { extensions: { a: 'b' } },
    { extensions: 'record' },
  ),
  sub('batch', 'batch', {}, { count: 1, bytes: 4096, delayMs: 0 }),
  {
    name: 'postgres',
    good: { connectionString: nowhere },
    more: {
      password: 'p',
      ssl: true,
      schema: 's',
      migrate: true,
      batchEvents: 1,
      batchBytes: 1 << 16,
      flushDelayMs: 0,
      statementTimeoutMs: 1000,
      loadTimeoutMs: 1000,
    },
    any: { ssl: 'record' },
    call: postgres,
  },
  { name: 'postgres by a pool', good: {}, more: { pool: undefined }, call: postgres },
  {
    name: 'migrate',
    good: { connection: nowhere },
    more: { schema: 's', dryRun: true, signal: undefined, folder: undefined },
    any: { connection: 'record', folder: 'value' },
    call: migrate,
  },
  {
    name: 'tailEvents',
    good: { connection: nowhere },
    more: { schema: 's', from: undefined, signal: undefined, pollMs: 1, pageSize: 1, onError: handle },
    any: { connection: 'record' },
    async call(options) {
      const ended = new Error('taken'); // and ended before it connects
      const signal = AbortSignal.abort(ended);
      const hasNone = typeof options === 'object' && options !== revoked && !Object.hasOwn(options ?? {}, 'signal');
      try {
        await tailEvents(hasNone && options !== null ? Object.assign(options, { signal }) : options).next();
      } catch (error) {
        if (error !== ended) throw error;
      } finally {
        if (hasNone && options !== null) delete options.signal;
      }
    },
  },
  { name: 'openEventStore', good: {}, more: {}, call: openEventStore as never },
  {
    name: 'defineProjection',
    good: { name: 'p', init: () => ({}), apply: (row: object) => row },
    more: { version: 1, events: ['Added'], aggregates: [Counter], key: handle, into: 'memory' },
    call: defineProjection as never,
  },
  {
    name: 'defineProjection into',
    good: { table: 't' },
    more: { keyColumn: 'k', batchEvents: 1, cachedRows: 1 },
    call: (into) => defineProjection({ name: 'p', init: () => ({}), apply: (row) => row, into }),
  },
  { name: 'integration', good: {}, more: { Added: handle }, call: (mapping) => integration(Counter, mapping) },
  {
    name: 'defineAggregate',
    good: { module: import.meta.url, state: () => ({}), events: { E: event() }, evolve: { E: handle }, commands: {} },
    more: { snapshot: {}, idle: undefined },
    call: (options) => defineAggregate('x', options),
  },
];

/** Of one that runs. */
export const runtimeDoors = (runtime: Runtime): readonly OptionsDoor[] => {
  let count = 0;
  const name = (): string => `tried ${count++}`;
  return [
    {
      name: 'subscribe',
      good: { name: 'n', handle },
      more: {
        events: ['Added'],
        aggregates: [Counter],
        where: handle,
        from: 'now',
        concurrency: 1,
        window: 1,
        batch: undefined,
        retry: {},
        timeoutMs: 1,
        breaker: {},
        onExhausted: 'park',
        deadLetterLimit: 1,
        thread: undefined,
      },
      call: (options) => {
        const isNamed = typeof options === 'object' && options !== revoked && options?.name === 'n';
        return runtime.subscribe(isNamed ? { ...options, name: name() } : options).close();
      },
    },
    {
      name: 'subscribe retry',
      good: {},
      more: { attempts: 1, minDelayMs: 1, factor: 1, maxDelayMs: 1, jitter: true, nonRetryable: [] },
      call: (retry) => runtime.subscribe({ name: name(), handle, retry }).close(),
    },
    {
      name: 'subscribe batch',
      good: { max: 1 },
      more: { maxDelayMs: 1, coalesceBy: handle },
      call: (batch) => runtime.subscribe({ name: name(), handle, batch }).close(),
    },
    {
      name: 'subscribe breaker',
      good: {},
      more: { failures: 1, pauseMs: 1 },
      call: (breaker) => runtime.subscribe({ name: name(), handle, breaker }).close(),
    },
    {
      name: 'replay',
      good: { into: handle },
      more: {
        from: 1,
        to: 1,
        types: ['Added'],
        aggregate: Counter,
        aggregateId: undefined,
        signal: undefined,
        onProgress: handle,
        progressMs: 1,
        eventsPerSecond: 1000,
        dryRun: true,
      },
      call: (options) => runtime.replay(options),
    },
    {
      name: 'deadLetters.list',
      good: {},
      more: {
        handler: 'h',
        aggregate: Counter,
        aggregateId: 'x',
        type: 'Added',
        reason: 'failed',
        olderThanMs: 1,
        limit: 1,
      },
      call: (options) => runtime.deadLetters.list(options),
    },
    {
      name: 'deadLetters.messages.list',
      good: {},
      more: {
        aggregate: Counter,
        aggregateId: 'x',
        sender: Counter,
        senderId: 'x',
        command: 'add',
        reason: 'failed',
        olderThanMs: 1,
        limit: 1,
      },
      call: (options) => runtime.deadLetters.messages.list(options),
    },
    {
      name: 'store.query',
      good: {},
      more: {
        aggregate: Counter,
        aggregateId: undefined,
        types: ['Added'],
        type: undefined,
        since: undefined,
        until: undefined,
      },
      call: (options) => runtime.store.query(options).next(),
    },
    {
      name: 'events',
      good: {},
      more: {
        aggregate: Counter,
        aggregateId: undefined,
        type: 'Added',
        since: undefined,
        from: undefined,
        to: undefined,
      },
      call: (options) => runtime.events(options).next(),
    },
    {
      name: 'with',
      good: {},
      more: {
        ack: 'raised',
        idempotencyKey: undefined,
        principal: undefined,
        deadlineMs: 1000,
        metadata: {},
        signal: undefined,
      },
      any: { metadata: 'value' },
      call: (options) => runtime.ref(Counter, 'x').with(options).add(0),
    },
    {
      name: 'setFlush',
      good: {},
      more: { whenFull: 'wait', syncBytes: 4096 },
      call: (options) => runtime.setFlush(options),
    },
    {
      name: 'setPublishing',
      good: {},
      more: { counter: true },
      call: (options) => runtime.setPublishing(options),
    },
    {
      name: 'saveWithTx client',
      good: {},
      more: {},
      call: (client) => runtime.store.saveWithTx(client, []),
    },
  ];
};

export const runtimeOptions: OptionsDoor = {
  name: 'createRuntime',
  good: { dataDir: './data', aggregates: [Counter] },
  more: {
    shards: 1,
    ack: 'written',
    flush: 'balanced',
    context: undefined,
    log: {},
    store: undefined,
    sinks: [],
    stream: undefined,
    handlers: {},
    messages: {},
    actorLimit: 1,
    actorIdleMs: 1,
    mailboxLimit: 1,
    maxInFlight: 1,
    idempotencyTtlMs: 1,
    askDeadlineMs: 1,
    logger: false,
    bootId: 'b',
  },
  call: (options) => resolveOptions(options, 2), // before anything is made
};

/** What a door did to a hostile value, if that was wrong. */
export async function tryDoor({
  name,
  good,
  more,
  any = {},
  call,
}: OptionsDoor): Promise<{ tries: number; wrong: string[] }> {
  let tries = 0;
  const wrong: string[] = [];
  const attempt = async (what: string, options: unknown, mayBeTaken: boolean): Promise<void> => {
    tries++;
    try {
      await call(options);
      if (!mayBeTaken) wrong.push(`${what}: taken`);
    } catch (error) {
      if (!(error instanceof TrunklineError)) wrong.push(`${what}: ${shown(error)} is no error of ours`);
      else if (!mayBeTaken && isLater(error)) wrong.push(`${what}: taken, and then ${error.code}`);
    }
  };
  for (const [kind, value] of Object.entries(nonsense)) {
    await attempt(`${name}: ${kind}`, value, false);
    for (const field of [...Object.keys(good), ...Object.keys(more)]) {
      const takes = any[field] ?? '';
      // null: as if it were not there, where that is in order.
      const mayBeTaken = value === null || takes === 'value' || (takes === 'record' && isRecord(value));
      await attempt(`${name}.${field}: ${kind}`, { ...good, [field]: value }, mayBeTaken);
    }
  }
  return { tries, wrong };
}

/** Text, or an object with fields. */
const isRecord = (value: unknown): boolean =>
  typeof value === 'string' || value === cycle || value === nonsense['an object that cannot be shown'];

const isLater = ({ code }: TrunklineError): boolean => /^(Store|DataDir|Stream)(Unavailable|Unreadable)/.test(code);

function shown(error: unknown): string {
  try {
    return String(error).slice(0, 150);
  } catch {
    return 'what cannot be shown';
  }
}
