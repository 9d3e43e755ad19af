// What each code of an error carries: values only, so that they cross threads and the command line as JSON.
// The codes are a closed list; what each says, and the class that carries them: errors.ts.
import type { Shown } from './shown.ts';

/** Whether a command was carried out. `yes`: it is in the log; what its caller waited for beyond that (a level) did not come in time. */
export type Executed = 'no' | 'unknown' | 'yes';

/** Which stored event: `version` is the aggregate's, `schemaVersion` that of its payload. `eventId` '': it is not stored yet. */
export interface StoredEventPlace {
  aggregateType: string;
  aggregateId: string;
  version: number;
  eventId: string;
  position: number;
  eventType: string;
  schemaVersion: number;
}

/** What each code carries. The codes are a closed list: a `switch` over them can be exhaustive. */
export interface ErrorDetails {
  // refused at the edge, before anything is written
  /** `value`: a number, boolean or nothing as it was given; of anything else, which may be a secret, only what it is. */
  InvalidOptions: { option: string; value?: Shown; reason: string };
  /** `reason`: what is wrong with it, if not its length. */
  InvalidId: { what: string; length: number; limit: number; reason?: string };
  InvalidDefinition: { aggregateType: string; reason: string };
  UnknownAggregateType: { aggregateType: string; known: string[] };
  UnknownCommand: { aggregateType: string; command: string; known: string[] };
  /** `stored`: which one, where it is of an event that is stored. `position` 0: not known where it was found. */
  UnknownEventType: {
    aggregateType: string;
    eventType: string;
    known: string[];
    stored?: { aggregateId: string; version: number; eventId: string; position: number } | undefined;
  };
  /** `known`: the lowest and the highest version that this release reads. `position` 0: not known where it was found. */
  UnsupportedEventVersion: StoredEventPlace & { known: [number, number] };
  /** An event of an older version could not be made into one of the newest. `position` 0: not known where it was found. */
  UpcastFailed: StoredEventPlace & { reason: string };
  SchemaViolation: { aggregateType: string; eventType: string; issues: { path: string; message: string }[] };
  AsyncSchemaUnsupported: { aggregateType: string; eventType: string };
  UnserialisableValue: { path: string; reason: string };
  CommandTooLarge: { bytes: number; limit: number };
  AggregateTypeOwnedElsewhere: { aggregateType: string; reason: string };
  AskAfterRaise: { aggregateType: string; id: string };
  AskItself: { aggregateType: string; id: string };
  /** `chain`: who asks whom; the first one and the last one are the same. */
  AskCycle: { chain: { aggregateType: string; aggregateId: string }[] };
  CommandEnded: { aggregateType: string; id: string };
  /** `called`: what a reducer, or an entity's `apply`, has called. */
  InsideReducer: { aggregateType: string; id: string; called: string };
  RuntimeInsideShard: { module: string };
  ModuleMismatch: { module: string; aggregateType: string; reason: string };
  RehearsalRunning: { aggregateTypes: string[] };
  /** A module of the user's holds what it was to start. */
  StartTimedOut: { what: string; module: string; timeoutMs: number };
  // pushed back: nothing was written, try again later
  RingFull: { ringBytes: number };
  MailboxFull: { aggregateType: string; id: string; limit: number };
  TooManyInFlight: { limit: number };
  /** `diskIsFull`: the log has room left, but its file cannot grow. */
  LogFull: { usedBytes: number; limitBytes: number; diskIsFull: boolean };
  /** `limit`: see `actorLimit`. */
  TooManyUnstored: { limit: number };
  // the outcome of one command
  CommandFailed: { aggregateType: string; command: string; name: string; stack: string };
  NotExecuted: { reason: string };
  OutcomeUnknown: { reason: string };
  /** `what`: a message, or an event and its handler. Only what is found after a restart has this error. */
  ProcessEnded: { what: string; times: number };
  DeadlineExceeded: { deadlineMs: number; executed: Executed };
  Aborted: { executed: Executed };
  /** `what`: what was waited for. It may come yet: what has been done stays done. */
  WaitTimedOut: { what: string; timeoutMs: number };
  VersionGap: { aggregateType: string; aggregateId: string; expectedVersion: number; foundVersion: number };
  UnitOfWorkEnded: { state: 'committing' | 'committed' | 'rolled back' };
  HandlerLoopLimit: { rounds: number };
  TransactionRolledBack: { reason: string };
  ConcurrencyConflict: { aggregateType: string; aggregateId: string; expectedVersion: number; actualVersion: number };
  IdempotencyKeyReused: { idempotencyKey: string; command: string; firstCommand: string };
  // the runtime as a whole
  RuntimeClosed: { state: 'closing' | 'closed' };
  CloseTimedOut: { deadlineMs: number; waitingFor: string[] };
  LogPoisoned: { cause: string };
  ThreadFailed: { thread: string; cause: string };
  NodeTooOld: { found: string; needed: number };
  /** `flag`: of Node.js. */
  NodeForbids: { flag: string; what: string };
  LibraryBundled: { entry: string; base: string };
  /** A fault of Trunkline's own, not of what it talks to. */
  InternalFault: { where: string; cause: string };
  // the data directory
  DataDirInUse: { dataDir: string };
  DataDirNotWritable: { dataDir: string; cause: string };
  DiskFull: { path: string; neededBytes: number; freeBytes: number };
  DataDirNewerFormat: { dataDir: string; found: number; supported: number };
  DataDirUnreadable: { dataDir: string; reason: string };
  /** Others can write there, or have: the directory is not taken as it is. */
  DataDirUnsafe: { path: string; reason: string };
  /** A file, or what came like one, that is not read on. `limit`: the one that it exceeds, in bytes, or as a ratio. */
  FileRefused: { file: string; line?: number; limit?: number; reason: string };
  /** Something of ours that was read back: from the log, LMDB or a database. */
  RecordInvalid: { what: string; reason: string };
  ServiceNotRunning: { dataDir: string; reason: string };
  LogDamaged: { dataDir: string; reason: string };
  StoreDamaged: { dataDir: string; reason: string };
  StoreUnavailable: { store: string; cause: string };
  /** One statement has taken longer than it may, and what it does cannot be done in smaller parts. It is tried again. */
  StoreTooSlow: { store: string; what: string };
  /** The server has answered, and says no to what it was given; no repetition changes that. */
  StoreRefused: { store: string; cause: string };
  StoreAccessDenied: { store: string; cause: string };
  /** The store as it is set up cannot be used: repetition cures nothing until it, or how it is reached, is changed. */
  StoreUnsuitable: { store: string; reason: string };
  /** One row that no door of ours has written: what reads page by page passes it over. */
  EventUnreadable: { store: string; id: string; reason: string };
  StoreReadOnly: { store: string };
  StoreSchemaMissing: { schema: string; reason: string };
  StoreSchemaNewer: { schema: string; found: number; supported: number };
  StoreSchemaMismatch: { schema: string; reason: string };
  /** Roles that are not trusted with it can create something in the schema, or have: it would be run with our rights. */
  StoreSchemaUnsafe: { schema: string; reason: string };
  StoreBehind: { store: string; position: number; expected: number };
  LogFenced: { logId: string; position: number };
  ArchiveDamaged: { file: string; line?: number; reason: string };
  ArchiveNeeded: { file: string; events: number };
  PartitionNeeded: { partition: string; reason: string };
  MigrationFailed: { schema: string; migration: string; cause: string };
  StoreFailed: { dataDir: string; cause: string };
  Quarantined: { aggregateType: string; aggregateId: string; version: number; position: number; reason: string };
  PositionGone: { position: number; firstKept: number };
  // what a sink finds or does
  VersionOutOfOrder: {
    aggregateType: string;
    aggregateId: string;
    expectedVersion: number;
    foundVersion: number;
    position: number;
  };
  SinkFailed: { sink: string; cause: string };
  // the stream
  StreamUnavailable: { stream: string; cause: string };
  StreamDenied: { stream: string; cause: string };
  StreamFenced: { stream: string; logId: string };
  StreamBehind: { stream: string; lag: number; limit: number };
  CheckpointMissing: { stream: string; logId: string; topic: string; reason: string };
  CheckpointInvalid: { stream: string; logId: string; topic: string; reason: string };
  TopicDrift: { topic: string; what: string; wanted: string; found: string };
  EventQuarantined: { position: number; aggregateType: string; aggregateId: string; eventType: string; reason: string };
  SchemaRefused: { subject: string; reason: string };
  RegistryUnavailable: { registry: string; cause: string };
  // handlers
  SubscriptionExists: { handler: string };
  UnknownSubscription: { handler: string; known: string[] };
  PositionAhead: { position: number; lastPosition: number };
  HandlerTimedOut: { handler: string; timeoutMs: number };
  HandlerFailed: { handler: string; cause: string };
  CaughtUpTimedOut: { handler: string; position: number; reached: number; timeoutMs: number };
  HandlerNeeded: { handler: string; reason: string };
  UnknownDeadLetter: { deadLetter: string };
  OnceCycle: { key: string; within: string };
  /** `call`: what was called; `within`: the code that has called it; `chain`: what the call waits for, up to that code. */
  WaitsForItself: { call: string; within: string; chain: string[] };
}

/** A code of {@link TrunklineError}: what went wrong. */
export type ErrorCode = keyof ErrorDetails;
