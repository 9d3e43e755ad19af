// What can go wrong: one class, one code each, the values that explain it (error-details.ts), and what to do.
// Every error crosses threads as { code, message, details } and is rebuilt as the same class on the other side.
import { isNativeError } from 'node:util/types';
import { brand } from './brand.ts';
import type { ErrorCode, ErrorDetails, StoredEventPlace } from './error-details.ts';
import { shownText } from './shown.ts';
import { tame, tameDetails } from './tame.ts';

function placeOf(d: StoredEventPlace): string {
  const { aggregateType, eventType, schemaVersion } = d;
  return `${aggregateType}/${eventAt(d)}, ${eventType} of version ${schemaVersion}`;
}

function eventAt({
  aggregateId,
  version,
  eventId,
  position,
}: Omit<StoredEventPlace, 'aggregateType' | 'eventType' | 'schemaVersion'>): string {
  const own = eventId === '' ? '' : ` (${eventId})`;
  return `${aggregateId}, event ${version}${own}${position === 0 ? '' : ` at position ${position}`}`;
}

function unknownEvent({ aggregateType, eventType, stored }: ErrorDetails['UnknownEventType']): string {
  if (stored === undefined) return `'${aggregateType}' has no event '${eventType}'`;
  return `${aggregateType}/${eventAt(stored)}: '${aggregateType}' has no event '${eventType}', which is stored there`;
}

const messages: { [C in ErrorCode]: (d: ErrorDetails[C]) => string } = {
  InvalidOptions: (d) => `option ${d.option}${shownText(d.value)}: ${d.reason}`,
  InvalidId: (d) => `${d.what} ${d.reason ?? `must be 1 to ${d.limit} bytes of UTF-8, and is ${d.length}`}`,
  InvalidDefinition: (d) => `aggregate '${d.aggregateType}': ${d.reason}`,
  UnknownAggregateType: (d) => `no aggregate '${d.aggregateType}' here; known: ${d.known.join(', ')}`,
  UnknownCommand: (d) => `'${d.aggregateType}' has no command '${d.command}'; known: ${d.known.join(', ')}`,
  UnknownEventType: (d) => `${unknownEvent(d)}; known: ${d.known.join(', ')}`,
  UnsupportedEventVersion: (d) =>
    `${placeOf(d)}: this release reads versions ${d.known[0]} to ${d.known[1]} of it; ` +
    'deploy the release that has written it, or declare the version by versions().next()',
  UpcastFailed: (d) =>
    `${placeOf(d)}: ${d.reason}${d.eventId === '' ? '' : '; deploy a release that can read it, or that names it in `skipped`; nothing stored has to be changed'}`,
  SchemaViolation: (d) =>
    `${d.aggregateType}.${d.eventType}: ${d.issues.map((i) => `${i.path || 'data'}: ${i.message}`).join('; ')}`,
  AsyncSchemaUnsupported: (d) =>
    `${d.aggregateType}.${d.eventType}: its validator is asynchronous; raise() needs a synchronous one`,
  UnserialisableValue: (d) => `${d.path}: ${d.reason}; JSON cannot carry it`,
  CommandTooLarge: (d) =>
    `what goes into the log as one takes ${d.bytes} bytes and may take ${d.limit}: split it, or raise flush.ringBytes, half of which is a command's limit`,
  AggregateTypeOwnedElsewhere: (d) => `'${d.aggregateType}': ${d.reason}`,
  AskAfterRaise: (d) =>
    `${d.aggregateType}/${d.id}: ask() is allowed before the first raise() only; use send(), or ask earlier`,
  AskItself: (d) =>
    `${d.aggregateType}/${d.id} asks itself, and would wait for itself; call the function, or send() for afterwards`,
  AskCycle: (d) =>
    `${d.chain.map((one) => `${one.aggregateType}/${one.aggregateId}`).join(' asks ')}, and each would wait for the next; ` +
    'let one of them send(), or pass on what the next one needs as an argument',
  CommandEnded: (d) => `${d.aggregateType}/${d.id}: the command has ended; await what it starts before it returns`,
  InsideReducer: (d) =>
    `${d.aggregateType}/${d.id}: ${d.called}() was called while an event was being applied; a reducer (or apply) only ` +
    'changes state: call it in the command (or method), after the raise() that it follows from',
  RuntimeInsideShard: (d) => `${d.module} calls createRuntime() inside a shard thread; move it to a file of its own`,
  ModuleMismatch: (d) => `module ${d.module}, aggregate '${d.aggregateType}': ${d.reason}`,
  RehearsalRunning: (d) =>
    `a rehearsal of ${d.aggregateTypes.join(', ')} is running, and there is one at a time; stop() it first`,
  StartTimedOut: (d) =>
    `${d.what} has not started within ${d.timeoutMs} ms: ${d.module} does not return, or awaits what does not come; ` +
    'mend it, or raise starts.timeoutMs',
  RingFull: (d) => `the ring (${d.ringBytes} bytes) is full; slow down, or use whenFull: 'wait'`,
  MailboxFull: (d) => `${d.aggregateType}/${d.id} has ${d.limit} commands waiting; slow down or raise mailboxLimit`,
  TooManyInFlight: (d) => `${d.limit} commands are in flight; slow down or raise maxInFlight`,
  LogFull: (d) => {
    const room = d.diskIsFull
      ? "its file cannot grow: make room on the log's disk, or raise its quota"
      : 'wait for its cursors or raise log.maxBytes';
    return `the log holds ${d.usedBytes} bytes, and takes new commands below ${d.limitBytes}; ${room} (diskIsFull: ${d.diskIsFull})`;
  },
  TooManyUnstored: (d) =>
    `more than ${d.limit} aggregates, or outcomes of commands with keys, have news that the store does not have yet; slow down or raise actorLimit`,
  CommandFailed: (d) => `${d.aggregateType}.${d.command} threw ${d.name}`,
  NotExecuted: (d) => `the command was not executed: ${d.reason}; it is safe to send it again`,
  OutcomeUnknown: (d) => `the command may or may not have been executed: ${d.reason}; use an idempotencyKey to retry`,
  ProcessEnded: (d) =>
    `the process has ended ${d.times} times while ${d.what} was executed, so it is not executed again; ` +
    'see how it ends the process (memory, process.exit(), a promise that is rejected and not awaited), mend that, then requeue it',
  DeadlineExceeded: (d) => `no outcome within ${d.deadlineMs} ms (executed: ${d.executed})`,
  Aborted: (d) => `the caller aborted (executed: ${d.executed})`,
  WaitTimedOut: (d) => `${d.what} did not come within ${d.timeoutMs} ms; wait longer (waitTimeoutMs)`,
  ConcurrencyConflict: (d) =>
    `${d.aggregateType}/${d.aggregateId} is at version ${d.actualVersion}, not at ${d.expectedVersion}; load it again`,
  IdempotencyKeyReused: (d) =>
    `key '${d.idempotencyKey}' belongs to an earlier '${d.firstCommand}', and came with '${d.command}'; use another key`,
  VersionGap: (d) =>
    `${d.aggregateType}/${d.aggregateId}: version ${d.foundVersion} came where ${d.expectedVersion} was due; was a month dropped that has what is missing?`,
  UnitOfWorkEnded: (d) => `this unit of work is ${d.state}; begin another`,
  HandlerLoopLimit: (d) => `handlers before commit went on raising events for ${d.rounds} rounds`,
  TransactionRolledBack: (d) => `the server has rolled the transaction back: ${d.reason}`,
  RuntimeClosed: (d) => `the runtime is ${d.state}`,
  CloseTimedOut: (d) => `close() did not finish in ${d.deadlineMs} ms; waiting for ${d.waitingFor.join(', ')}`,
  LogPoisoned: (d) => `writing the log failed (${d.cause}); nothing is acknowledged until a restart has recovered it`,
  ThreadFailed: (d) => `the ${d.thread} thread failed: ${d.cause}`,
  NodeTooOld: (d) =>
    `this is Node.js ${d.found}, and trunkline needs ${d.needed} or newer; install that, and start again`,
  NodeForbids: (d) =>
    `Node.js was started with ${d.flag}, which forbids ${d.what}: no runtime works without; start without that flag`,
  LibraryBundled: (d) =>
    `'${d.entry}' is not beside ${d.base}: trunkline cannot be bundled, since its threads start from files of their own; ` +
    "mark 'trunkline' as external in your bundler",
  InternalFault: (d) => `Trunkline itself failed (${d.where}): ${d.cause}; please report it`,
  DataDirInUse: (d) => `${d.dataDir} is held by another live runtime; one owner at a time`,
  DataDirNotWritable: (d) => `${d.dataDir} cannot be written: ${d.cause}`,
  DiskFull: (d) =>
    d.freeBytes < d.neededBytes
      ? `the disk of ${d.path} has ${d.freeBytes} bytes left, and at least ${d.neededBytes} are needed; make room on it`
      : `${d.path} may not grow by ${d.neededBytes} bytes, and its disk has ${d.freeBytes} left; raise the quota, the number of files (inodes) or the limit on their size (ulimit -f)`,
  DataDirNewerFormat: (d) => `${d.dataDir} has format ${d.found}; this release reads up to ${d.supported}; upgrade`,
  DataDirUnreadable: (d) => `${d.dataDir} is not a data directory this release can read: ${d.reason}`,
  DataDirUnsafe: (d) => `${d.path} ${d.reason}`,
  FileRefused: (d) => `${d.file}${d.line === undefined ? '' : `, line ${d.line},`} ${d.reason}`,
  RecordInvalid: (d) =>
    `${d.what} cannot be understood: ${d.reason}; another release wrote it, or it was changed since`,
  ServiceNotRunning: (d) => `no service runs on ${d.dataDir}: start it; ${d.reason}`,
  LogDamaged: (d) => `the log in ${d.dataDir} cannot be recovered: ${d.reason}`,
  StoreDamaged: (d) => `the store in ${d.dataDir} is damaged: ${d.reason}`,
  StoreTooSlow: (d) =>
    `the ${d.store} store took longer than a statement may for ${d.what} alone; raise statementTimeoutMs, or see what holds up the server`,
  StoreUnavailable: (d) => `the ${d.store} store does not answer: ${d.cause}`,
  StoreRefused: (d) => `the ${d.store} store refuses what it was given: ${d.cause}`,
  StoreAccessDenied: (d) => `the ${d.store} store refuses us: ${d.cause}; check user, password and privileges`,
  StoreUnsuitable: (d) => `the ${d.store} store cannot be used as it is set up: ${d.reason}`,
  EventUnreadable: (d) => `event ${d.id} in the ${d.store} store cannot be read: ${d.reason}; mend or delete its row`,
  StoreReadOnly: (d) => `the ${d.store} store was opened read-only; open it without readOnly to write`,
  StoreSchemaMissing: (d) => `schema '${d.schema}' is not there: ${d.reason}; run migrate()`,
  StoreSchemaNewer: (d) =>
    `schema '${d.schema}' has migration ${d.found}; this release knows up to ${d.supported}; upgrade it`,
  StoreSchemaMismatch: (d) => `schema '${d.schema}' is not as its migrations made it: ${d.reason}`,
  StoreSchemaUnsafe: (d) => `schema '${d.schema}' is open to other roles: ${d.reason}`,
  StoreBehind: (d) =>
    `the ${d.store} store is at position ${d.position}, and was at ${d.expected}: it has come back from an earlier state; what it lacks is written again from the log`,
  LogFenced: (d) =>
    `log ${d.logId} is not at position ${d.position} in the store any more: another process flushes it; was the data directory copied?`,
  ArchiveDamaged: (d) =>
    `${d.file} is not a whole archive${d.line === undefined ? '' : ` (line ${d.line})`}: ${d.reason}; archive the month again`,
  ArchiveNeeded: (d) =>
    `${d.file} is not replaced: it holds ${d.events} events that the month has no more; move it elsewhere, or archive into another folder`,
  PartitionNeeded: (d) => `${d.partition} is not dropped: ${d.reason}`,
  MigrationFailed: (d) => `migration ${d.migration} of schema '${d.schema}' was undone: ${d.cause}`,
  StoreFailed: (d) =>
    `the store in ${d.dataDir} failed: ${d.cause}; close and start again: the log still has what it lacks`,
  Quarantined: (d) =>
    `${d.aggregateType}/${d.aggregateId} from version ${d.version} on is not in the store as the log has it (position ${d.position}): ${d.reason}; events are kept, see store.quarantined()`,
  PositionGone: (d) => `position ${d.position} is no longer kept; the first one kept is ${d.firstKept}`,
  VersionOutOfOrder: (d) =>
    `${d.aggregateType}/${d.aggregateId}: version ${d.foundVersion} at position ${d.position}, where ${d.expectedVersion} must follow`,
  SinkFailed: (d) => `sink '${d.sink}' failed: ${d.cause}`,
  StreamUnavailable: (d) => `stream '${d.stream}' does not answer, events wait in the log: ${d.cause}`,
  StreamDenied: (d) => `stream '${d.stream}' refuses us; check credentials and rights: ${d.cause}`,
  StreamFenced: (d) =>
    `stream '${d.stream}': another process publishes log ${d.logId} now; stop one of the two, or start this one again`,
  StreamBehind: (d) => `stream '${d.stream}' is ${d.lag} positions behind, more than backlogLimit ${d.limit}`,
  CheckpointMissing: (d) =>
    `stream '${d.stream}': log ${d.logId} has been published before, and topic ${d.topic} does not say how far ` +
    `(${d.reason}): is it the right cluster? If so, set resumeAfter to the last position that is published`,
  CheckpointInvalid: (d) =>
    `stream '${d.stream}': what topic ${d.topic} says of how far log ${d.logId} is published is not believed (${d.reason}): ` +
    'see who else may write there; then set resumeAfter to the last position that is published',
  TopicDrift: (d) =>
    `topic ${d.topic}: ${d.what} is ${d.found} and should be ${d.wanted}; see npx trunkline topics plan`,
  EventQuarantined: (d) =>
    `position ${d.position}, ${d.eventType} of ${d.aggregateType}/${d.aggregateId}, is not published: ${d.reason}`,
  SchemaRefused: (d) => `the registry refuses the schema of subject ${d.subject}: ${d.reason}`,
  RegistryUnavailable: (d) => `the schema registry ${d.registry} does not answer as it should: ${d.cause}`,
  SubscriptionExists: (d) =>
    `a subscription or projection named '${d.handler}' is running; close it, or choose another name`,
  UnknownSubscription: (d) => `no subscription '${d.handler}' is running; running: ${d.known.join(', ')}`,
  PositionAhead: (d) => `position ${d.position} lies beyond the log's end, ${d.lastPosition}; use 'now'`,
  HandlerTimedOut: (d) =>
    `handler '${d.handler}' did not settle within ${d.timeoutMs} ms; raise timeoutMs or mind the signal`,
  HandlerFailed: (d) => `handler '${d.handler}' failed: ${d.cause}`,
  CaughtUpTimedOut: (d) =>
    `'${d.handler}' has come to position ${d.reached}, not to ${d.position}, within ${d.timeoutMs} ms; wait longer`,
  OnceCycle: (d) =>
    `once('${d.key}') within the effect of '${d.within}' would wait for itself; ` +
    'do the work in one effect, or call once() after the outer one has ended',
  WaitsForItself: (d) =>
    `${d.call} within ${d.within} waits for the end of ${d.chain.join(', which waits for ')}, and so for itself; ` +
    'do not await it there: call it and return, or await it elsewhere',
  HandlerNeeded: (d) => `what is kept of handler '${d.handler}' stays: ${d.reason}`,
  UnknownDeadLetter: (d) => `there is no dead letter ${d.deadLetter}; it may have been resolved`,
};

const messageLimit = 8192;

/** Everything that Trunkline itself throws. `code` says what, `details` the values, `message` what to do. */
export class TrunklineError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly details: ErrorDetails[C];

  /** Whatever others have said is in the details (an error's message, a name): tamed here, it can be kept anywhere. */
  constructor(code: C, details: ErrorDetails[C], options?: { message?: string | undefined; cause?: unknown }) {
    const tamed = tameDetails(details);
    const message = tame(options?.message ?? messages[code](tamed), messageLimit);
    super(message, options && 'cause' in options ? { cause: options.cause } : {});
    this.name = code;
    this.code = code;
    this.details = tamed;
  }
}
brand(TrunklineError, 'TrunklineError');

/** Narrow an unknown error to one code: `if (isError(error, 'RingFull')) error.details.ringBytes`. */
export function isError<C extends ErrorCode>(error: unknown, code: C): error is TrunklineError<C> {
  return error instanceof TrunklineError && error.code === code;
}

/**
 * A command's considered "no": throw it inside a command to refuse. It raises nothing, leaves the state as it was, and
 * reaches the caller as this class with the same `code` and `details` (JSON values), whole: details that JSON cannot carry
 * make the command fail with `UnserialisableValue`, and beyond half a ring with `CommandTooLarge`.
 *
 * ```ts
 * if (call.state.status !== 'idle') throw new Rejected('call-exists');
 * ```
 */
export class Rejected extends Error {
  readonly code: string;
  readonly details: unknown;

  constructor(code: string, details?: unknown, message?: string) {
    super(message ?? code);
    this.name = 'Rejected';
    this.code = code;
    this.details = details;
  }
}
brand(Rejected, 'Rejected');

/** Anything may be thrown, also what cannot be shown; a text too long, or one that JSON cannot carry, is cut to fit. */
export function describeError(error: unknown): { name: string; message: string; stack: string } {
  try {
    if (!(error instanceof Error || isNativeError(error)))
      return { name: 'Error', message: tame(error, 1024), stack: '' };
    return { name: tame(error.name, 100), message: tame(error.message, 1024), stack: tame(error.stack ?? '', 4096) };
  } catch {
    return { name: 'Error', message: 'something that cannot be shown', stack: '' };
  }
}

/** What was thrown, as an error: anything may be, also what cannot be looked at (a revoked proxy). */
export function asError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown;
  } catch {}
  return new Error(describeError(thrown).message, { cause: thrown });
}
