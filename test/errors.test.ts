// Errors: each code explains itself, and every error crosses a thread whole.
import { readFileSync } from 'node:fs';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ErrorCode, ErrorDetails } from '../src/base/error-details.ts';
import { isError, Rejected, TrunklineError } from '../src/base/errors.ts';
import { fromWire, toWire, type WireError } from '../src/base/wire-error.ts';

const placeOfEvent = {
  aggregateType: 'call',
  aggregateId: 'c1',
  version: 3,
  eventId: '0190a1b2-0000-7000-8000-000000000000',
  position: 17,
  eventType: 'CallRouted',
  schemaVersion: 1,
};

// One of each: a code that is added without a sample does not compile.
const samples: { [C in ErrorCode]: ErrorDetails[C] } = {
  InvalidOptions: { option: 'shards', value: 0, reason: 'must be 1 to 64' },
  InvalidId: { what: 'aggregate id', length: 300, limit: 255 },
  InvalidDefinition: { aggregateType: 'call', reason: 'no state' },
  UnknownAggregateType: { aggregateType: 'cal', known: ['call', 'bid'] },
  UnknownCommand: { aggregateType: 'call', command: 'rout', known: ['route'] },
  UnknownEventType: { aggregateType: 'call', eventType: 'CallRoutd', known: ['CallRouted'] },
  UnsupportedEventVersion: { ...placeOfEvent, schemaVersion: 9, known: [2, 4] },
  UpcastFailed: { ...placeOfEvent, reason: 'the function that makes version 2 has thrown: no total' },
  SchemaViolation: { aggregateType: 'call', eventType: 'CallRouted', issues: [{ path: 'trunk', message: 'required' }] },
  AsyncSchemaUnsupported: { aggregateType: 'call', eventType: 'CallRouted' },
  UnserialisableValue: { path: 'data.price', reason: 'is NaN' },
  CommandTooLarge: { bytes: 70_000, limit: 32_768 },
  AggregateTypeOwnedElsewhere: { aggregateType: 'call', reason: 'its events are raised by commands' },
  AskAfterRaise: { aggregateType: 'call', id: 'c-1' },
  AskItself: { aggregateType: 'call', id: 'c-1' },
  AskCycle: {
    chain: [
      { aggregateType: 'call', aggregateId: 'c-1' },
      { aggregateType: 'agent', aggregateId: 'g-1' },
      { aggregateType: 'call', aggregateId: 'c-1' },
    ],
  },
  CommandEnded: { aggregateType: 'call', id: 'c-1' },
  InsideReducer: { aggregateType: 'call', id: 'c-1', called: 'raise' },
  RuntimeInsideShard: { module: 'file:///call.ts' },
  ModuleMismatch: { module: 'file:///call.ts', aggregateType: 'call', reason: 'does not export it' },
  RingFull: { ringBytes: 65_536 },
  MailboxFull: { aggregateType: 'call', id: 'c-1', limit: 10 },
  TooManyInFlight: { limit: 10 },
  LogFull: { usedBytes: 5, limitBytes: 4, diskIsFull: false },
  TooManyUnstored: { limit: 5 },
  CommandFailed: { aggregateType: 'call', command: 'route', name: 'TypeError', stack: 'at x' },
  NotExecuted: { reason: 'its shard died' },
  OutcomeUnknown: { reason: 'its shard died' },
  DeadlineExceeded: { deadlineMs: 20, executed: 'unknown' },
  Aborted: { executed: 'no' },
  VersionGap: { aggregateType: 'call', aggregateId: 'c-1', expectedVersion: 3, foundVersion: 5 },
  UnitOfWorkEnded: { state: 'committed' },
  HandlerLoopLimit: { rounds: 100 },
  TransactionRolledBack: { reason: 'a statement had failed' },
  ConcurrencyConflict: { aggregateType: 'call', aggregateId: 'c-1', expectedVersion: 3, actualVersion: 5 },
  IdempotencyKeyReused: { idempotencyKey: 'k', command: 'route', firstCommand: 'create' },
  RuntimeClosed: { state: 'closing' },
  CloseTimedOut: { deadlineMs: 10, waitingFor: ['shards'] },
  LogPoisoned: { cause: 'EIO' },
  ThreadFailed: { thread: 'log', cause: 'EIO' },
  NodeTooOld: { found: '20.19.0', needed: 24 },
  NodeForbids: { flag: '--allow-worker', what: 'threads' },
  LibraryBundled: { entry: './thread', base: 'file:///srv/bundle.mjs' },
  InternalFault: { where: 'PostgreSQL', cause: 'TypeError: x is not iterable' },
  DataDirInUse: { dataDir: './data' },
  DataDirNotWritable: { dataDir: './data', cause: 'EROFS' },
  DiskFull: { path: './data/log/log.mdb', neededBytes: 1 << 20, freeBytes: 512 },
  DataDirNewerFormat: { dataDir: './data', found: 2, supported: 1 },
  DataDirUnsafe: { path: './data', reason: 'may be written by every user (mode 777)' },
  RecordInvalid: { what: "the checkpoint of 'billing'", reason: 'its low must be a number, and is text' },
  FileRefused: { file: 'a.zst', line: 3, limit: 1024, reason: 'is longer than 1024 bytes' },
  ServiceNotRunning: { dataDir: '/var/lib/calls', reason: 'x' },
  DataDirUnreadable: { dataDir: './data', reason: 'not JSON' },
  LogDamaged: { dataDir: './data', reason: 'no chunk' },
  StoreDamaged: { dataDir: './data', reason: 'no page' },
  StoreTooSlow: { store: 'PostgreSQL', what: "entry 'seen/a'" },
  StoreUnavailable: { store: 'postgres', cause: 'ECONNREFUSED' },
  StoreRefused: { store: 'PostgreSQL', cause: 'value out of range (22003)' },
  StoreAccessDenied: { store: 'PostgreSQL', cause: 'password authentication failed' },
  StoreUnsuitable: { store: 'PostgreSQL', reason: 'its encoding is LATIN1, and must be UTF8' },
  EventUnreadable: {
    store: 'PostgreSQL',
    id: '0190a1b2-0000-7000-8000-000000000000',
    reason: 'its metadata is no object',
  },
  StoreReadOnly: { store: 'PostgreSQL' },
  StoreSchemaMissing: { schema: 'trunkline', reason: 'no table' },
  StoreSchemaNewer: { schema: 'trunkline', found: 3, supported: 2 },
  StoreSchemaMismatch: { schema: 'trunkline', reason: 'no column' },
  StoreSchemaUnsafe: { schema: 'trunkline', reason: 'every role may create functions in it' },
  StoreBehind: { store: 'PostgreSQL', position: 5, expected: 9 },
  LogFenced: { logId: '0123456789abcdef', position: 17 },
  ArchiveDamaged: { file: 'a.zst', reason: 'its last line is missing' },
  ArchiveNeeded: { file: 'a.zst', events: 3 },
  PartitionNeeded: { partition: 'domain_events_2026_01', reason: 'events wait' },
  MigrationFailed: { schema: 'trunkline', migration: '000002-outbox', cause: 'division by zero' },
  Quarantined: { aggregateType: 'call', aggregateId: 'c-1', version: 2, position: 9, reason: 'written by log b since' },
  StoreFailed: { dataDir: './data', cause: 'Input/output error' },
  WaitTimedOut: { what: 'the checkpoint', timeoutMs: 60_000 },
  PositionGone: { position: 3, firstKept: 9 },
  VersionOutOfOrder: { aggregateType: 'call', aggregateId: 'c-1', expectedVersion: 3, foundVersion: 5, position: 17 },
  SinkFailed: { sink: 'billing', cause: 'ECONNRESET' },
  StreamUnavailable: { stream: 'kafka', cause: 'ECONNREFUSED' },
  StreamDenied: { stream: 'kafka', cause: 'SASL' },
  StreamFenced: { stream: 'kafka', logId: '00ff' },
  StreamBehind: { stream: 'kafka', lag: 11, limit: 10 },
  CheckpointInvalid: { stream: 'kafka', logId: '00ff', topic: 'trunkline.checkpoints', reason: 'not signed' },
  CheckpointMissing: { stream: 'kafka', logId: '00ff', topic: 'trunkline.checkpoints', reason: 'no record' },
  TopicDrift: { topic: 'events.call', what: 'partitions', wanted: '6', found: '1' },
  EventQuarantined: {
    position: 7,
    aggregateType: 'call',
    aggregateId: 'c-1',
    eventType: 'CallRouted',
    reason: 'large',
  },
  SchemaRefused: { subject: 'events.call-CallRouted', reason: 'a field is gone' },
  RegistryUnavailable: { registry: 'http://localhost:8081', cause: 'ECONNREFUSED' },
  SubscriptionExists: { handler: 'billing' },
  UnknownSubscription: { handler: 'biling', known: ['billing'] },
  PositionAhead: { position: 9, lastPosition: 3 },
  HandlerTimedOut: { handler: 'billing', timeoutMs: 20 },
  HandlerFailed: { handler: 'billing', cause: 'exit code 3' },
  CaughtUpTimedOut: { handler: 'billing', position: 9, reached: 3, timeoutMs: 20 },
  RehearsalRunning: { aggregateTypes: ['order'] },
  StartTimedOut: { what: 'shard 0', module: 'file:///srv/context.js', timeoutMs: 60_000 },
  ProcessEnded: { what: "message 0198 ('debit' to account/a-1)", times: 5 },
  OnceCycle: { key: 'k', within: 'k' },
  WaitsForItself: { call: 'close()', within: "handler 'a'", chain: ["handler 'a'"] },
  HandlerNeeded: { handler: 'billing', reason: 'it is running' },
  UnknownDeadLetter: { deadLetter: 'billing/0198' },
};
const codes = Object.keys(samples) as ErrorCode[];
const where = { aggregateType: 'call', command: 'route' };

const make = (code: ErrorCode): TrunklineError => new TrunklineError(code, samples[code]);

/** Through a real structured clone and through JSON: the two ways in which errors travel. */
function cross(wire: WireError): WireError[] {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(wire);
  const { message } = receiveMessageOnPort(port2) as { message: WireError };
  port1.close();
  return [message, JSON.parse(JSON.stringify(wire)) as WireError];
}

describe.each(codes)('%s', (code) => {
  test('has a message with every simple value in it', () => {
    const { message, name } = make(code);
    expect(name).toBe(code);
    expect(message).not.toMatch(/undefined|\[object/);
    for (const [key, value] of Object.entries(samples[code])) {
      // A stack belongs below a message; lists and objects show in part.
      if (key !== 'stack' && typeof value !== 'object') expect(message).toContain(String(value));
    }
  });

  test('crosses threads with class, code, message and details', () => {
    const error = make(code);
    for (const wire of cross(toWire(error, where))) {
      const back = fromWire(wire);
      expect(back).toBeInstanceOf(TrunklineError);
      expect(isError(back, code)).toBe(true);
      expect(back.message).toBe(error.message);
      expect(back.details).toEqual(error.details);
      expect(back.name).toBe(code);
    }
  });
});

describe('texts of others, in what an error says', () => {
  const hostile = `\0${'😀'.repeat(250_000)}\ud83d`;
  const spoil = (value: unknown): unknown => {
    if (typeof value === 'string') return hostile;
    if (Array.isArray(value)) return value.map(spoil);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, spoil(part)]));
  };
  const textsIn = (value: unknown): string[] =>
    typeof value === 'string'
      ? [value]
      : typeof value === 'object' && value
        ? Object.values(value).flatMap(textsIn)
        : [];

  test.each(codes)('%s: every store can keep them', (code) => {
    const error = new TrunklineError(code, spoil(samples[code]) as never);
    const again = fromWire(cross(toWire(error, where))[0]!);
    for (const { message, details } of [error, again]) {
      for (const text of textsIn({ message, details })) {
        expect(text.isWellFormed() && !text.includes('\0')).toBe(true);
        expect(text.length).toBeLessThanOrEqual(8192);
      }
    }
  });

  test('a list has an end', () => {
    const known = Array.from({ length: 5000 }, (_, i) => `c${i}`);
    expect(new TrunklineError('UnknownCommand', { aggregateType: 'a', command: 'b', known }).details.known.length).toBe(
      1000,
    );
  });
});

test('no two codes have one message', () => {
  expect(new Set(codes.map((code) => make(code).message)).size).toBe(codes.length);
});

test('a message of its own and a cause stay', () => {
  const cause = new Error('disk');
  const error = new TrunklineError('RingFull', { ringBytes: 1 }, { message: 'mine', cause });
  expect([error.message, error.cause]).toEqual(['mine', cause]);
  expect('cause' in make('RingFull')).toBe(false);
});

test('isError tells codes and classes apart', () => {
  expect(isError(make('RingFull'), 'MailboxFull')).toBe(false);
  expect(isError(new Rejected('RingFull'), 'RingFull')).toBe(false);
  expect(isError({ code: 'RingFull' }, 'RingFull')).toBe(false);
  expect(isError(undefined, 'RingFull')).toBe(false);
});

describe('Rejected', () => {
  test('crosses threads with code, details and message', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.option(fc.jsonValue(), { nil: undefined }),
        fc.option(fc.string(), { nil: undefined }),
        (code, details, message) => {
          const error = new Rejected(code, details, message);
          expect(error.message).toBe(message ?? code);
          const back = fromWire(cross(toWire(error, where))[0]!);
          expect(back).toBeInstanceOf(Rejected);
          expect(back).not.toBeInstanceOf(TrunklineError);
          expect([back.code, back.details, back.message]).toEqual([code, details, error.message]);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("keeps its class even under one of the runtime's own codes", () => {
    expect(fromWire(toWire(new Rejected('RingFull', { ringBytes: 1 }), where))).toBeInstanceOf(Rejected);
  });
});

describe("an error of somebody else's", () => {
  test('becomes CommandFailed with name, message, stack and place', () => {
    const foreign = new RangeError('too far');
    const back = fromWire(cross(toWire(foreign, where))[0]!);
    if (!isError(back, 'CommandFailed')) throw back;
    expect(back.message).toContain('RangeError');
    expect(back.message).toContain('too far');
    expect(back.message).toContain('call.route');
    expect(back.details).toEqual({ ...where, name: 'RangeError', stack: foreign.stack });
  });

  test('whatever is thrown', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withNullPrototype: true }), (thrown) => {
        const wire = toWire(thrown, where);
        expect(wire.code).toBe('CommandFailed');
        expect(fromWire(cross(wire)[0]!).code).toBe('CommandFailed');
      }),
      { numRuns: 500 },
    );
    const odd = Object.assign(new Error('x'), { message: 5, name: undefined, stack: undefined });
    expect(() => cross(toWire(odd, where))).not.toThrow();
    const hostile = Object.defineProperty(new Error('x'), 'message', {
      get() {
        throw new Error('again');
      },
    });
    expect(toWire(hostile, where).code).toBe('CommandFailed');
    expect(toWire(Symbol('s'), where).message).toContain('Symbol(s)');
  });
});

test('the reference has every code', () => {
  const reference = readFileSync(new URL('../docs/reference/errors.md', import.meta.url), 'utf8');
  expect(Object.keys(samples).filter((code) => !reference.includes(`\`${code}\``))).toEqual([]);
});
