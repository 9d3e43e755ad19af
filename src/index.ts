// `trunkline`: aggregates, and the runtime. Light, since every thread that runs an aggregate loads it: nothing here loads a client
// of PostgreSQL or Kafka, and what only a running runtime needs is loaded by `createRuntime`. The other entries: `postgres.ts`,
// `kafka.ts`, `testing.ts`.
import './base/node-version.ts'; // first: it says so where the others would fail

export type { ErrorCode, ErrorDetails } from './base/error-details.ts';
export { isError, Rejected, TrunklineError } from './base/errors.ts';
export type { Logger } from './base/logger.ts';
export type { Secret } from './base/secrets.ts';
export type { BatchOptions, Bus, ListenerHandle, ListenOptions } from './bus/bus.ts';
export type { DeadLetter, DeadLetterOutcome, DeadLetters } from './dead-letters/dead-letters.ts';
export type { DeadLetterQuery } from './dead-letters/letter-query.ts';
export type { LetterError } from './dead-letters/letters.ts';
export type {
  MessageLetter,
  MessageLetterOutcome,
  MessageLetterQuery,
  MessageLetters,
} from './dead-letters/message-letters.ts';
export type { StateOptions } from './dispatch/refs.ts';
export {
  integration,
  kafka,
  migrate,
  type PostgresClient,
  postgres,
  readArchive,
  tailEvents,
  verifyArchive,
} from './earlier-names.ts';
export { AggregateRoot, type RaisedEvent } from './entity/aggregate-root.ts';
export type { OwnTransaction } from './entity/client-transaction.ts';
export type { EventPublisher } from './entity/publisher.ts';
export type { RuntimeStore } from './entity/store.ts';
export { type CollectingRepository, UnitOfWork, type UnitOfWorkOptions } from './entity/unit-of-work.ts';
export type { SinkOptions, StreamOptions } from './flush/sink-options.ts';
export type { EffectTransaction, SqlClient } from './handler-state/effect-transaction.ts';
export type { RecoveryReport } from './log/log.ts';
export { type FlushOption, type FlushPolicy, flushPresets, type LogOptions } from './log/policy.ts';
export type { Batch, Sink, SinkInfo, SinkModule } from './log/sink.ts';
export {
  type Aggregate,
  type AggregateLike,
  type AnyAggregate,
  type Asker,
  type CommandContext,
  defineAggregate,
  type EventNamed,
  type EventNameOf,
  type EventOf,
  type EventsNamed,
  type Ref,
  type Sender,
  type SendOptions,
  type ShardContext,
  type SnapshotPolicy,
  type StateOf,
  type TimerOptions,
  type TimerSender,
} from './model/aggregate.ts';
export type { SkippedEvent } from './model/definition-checks.ts';
export { defineEntityEvents, type EntityEvents } from './model/entity-events.ts';
export type {
  EventDeclaration,
  EventVersion,
  EvolvingEvent,
  NewEvent,
  StoredEvent,
} from './model/event.ts';
export type { EventReader } from './model/event-reader.ts';
export {
  type EventSettings,
  type EventSpec,
  event,
  type NextSettings,
  type Parts,
  versions,
} from './model/event-spec.ts';
export type { MessageOptions, MessageRetryOptions, UndeliveredMessage } from './model/message-options.ts';
export type { Level, Receipt } from './model/receipt.ts';
export type { StartOptions } from './model/start-options.ts';
export {
  defineProjection,
  type Projection,
  type ProjectionDefinition,
  type ProjectionTable,
} from './projections/projection.ts';
export type {
  LeftOut,
  LiveDifference,
  LiveEnd,
  LiveRehearsalOptions,
  LiveRehearsalStatus,
} from './rehearsal/live/contract.ts';
export type { RunningRehearsal } from './rehearsal/live/rehearsals.ts';
export type { CloseOptions } from './runtime/close-options.ts';
export type { EffectTables } from './runtime/effects.ts';
export type { ForgottenHandler } from './runtime/forget-handler.ts';
export type { HandlerOptions, RuntimeOptions } from './runtime/options.ts';
export type { Projections } from './runtime/projections.ts';
export { createRuntime, Runtime } from './runtime/runtime.ts';
export type { RuntimeStatus } from './runtime/status.ts';
export type { Subscriptions } from './runtime/subscriptions.ts';
export type { StoreOptions } from './store/adapter.ts';
export { eventReader, openEventStore } from './store/open.ts';
export type { ReadingOptions, ReadOnlyEventStore } from './store/read-only.ts';
export type {
  AsOf,
  EventArchive,
  EventQuery,
  EventStore,
  Head,
  QuarantinedEvent,
  StateAt,
  StoreQuery,
  TransactionClient,
  TypedEventArchive,
  TypeQuery,
} from './store/store.ts';
export { EventHandler, type EventHandlerLike, type RegisterOptions } from './subscriptions/event-handler.ts';
export type {
  BatchDelivery,
  BreakerOptions,
  Delivery,
  From,
  OnExhausted,
  RetryOptions,
  SubscribeBatchOptions,
  SubscribeOptions,
  SubscribeWorkerOptions,
  Subscription,
  SubscriptionState,
  SubscriptionStatus,
} from './subscriptions/handlers.ts';
export type { RangeOptions, WaitOptions } from './subscriptions/reading-options.ts';
export type { ReplayOptions, ReplayProgress } from './subscriptions/replay.ts';
export type { PendingTimer, PendingTimers, TimerQuery } from './timers/pending-timers.ts';
export type { Schedule, ScheduleOptions, Schedules, ScheduleTarget } from './timers/schedules.ts';
export type { Carriable, CarriableFields, Carried, DeepReadonly, ReadState } from './wire/carried.ts';
export { newId } from './wire/ids.ts';
export type { Address } from './wire/message.ts';
export type { Metadata } from './wire/metadata.ts';
