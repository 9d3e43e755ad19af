// `trunkline`: aggregates, and the runtime. Light, since every thread that runs an aggregate loads it: nothing here loads a client
// of PostgreSQL or Kafka, and what only a running runtime needs is loaded by `createRuntime`. The other entries: `postgres.ts`,
// `kafka.ts`, `testing.ts`.
import './node-version.ts'; // first: it says so where the others would fail

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
} from './aggregate.ts';
export type { BatchOptions, Bus, Listening, ListenOptions } from './bus/bus.ts';
export type { StateOptions } from './caller/refs.ts';
export type { Carriable, CarriableFields, Carried, DeepReadonly, ReadState } from './carried.ts';
export type { CloseOptions } from './close-options.ts';
export { integration, kafka, migrate, postgres, readArchive, tailEvents, verifyArchive } from './earlier-names.ts';
export { AggregateRoot, type RaisedEvent } from './entity/aggregate-root.ts';
export type { OwnTransaction } from './entity/client-transaction.ts';
export type { EventPublisher } from './entity/publisher.ts';
export type { RuntimeStore } from './entity/store.ts';
export { type CollectingRepository, UnitOfWork, type UnitOfWorkOptions } from './entity/unit-of-work.ts';
export { type ErrorCode, type ErrorDetails, isError, Rejected, TrunklineError } from './errors.ts';
export {
  type EventDeclaration,
  type EventSpec,
  type EvolvingEvent,
  event,
  type NewEvent,
  type StoredEvent,
} from './event.ts';
export type { SinkOptions, StreamOptions } from './flush/sink-options.ts';
export type { DeadLetter, DeadLetterOutcome, DeadLetters } from './handlers/dead-letters.ts';
export type { EffectTransaction, PostgresClient } from './handlers/effect-transaction.ts';
export { EventHandler, type EventHandlerLike, type RegisterOptions } from './handlers/event-handler.ts';
export type { ForgottenHandler } from './handlers/forget.ts';
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
} from './handlers/handlers.ts';
export type { DeadLetterQuery } from './handlers/letter-query.ts';
export type { LetterError } from './handlers/letters.ts';
export type {
  MessageLetter,
  MessageLetterOutcome,
  MessageLetterQuery,
  MessageLetters,
} from './handlers/message-letters.ts';
export {
  defineProjection,
  type Projection,
  type ProjectionDefinition,
  type ProjectionTable,
} from './handlers/projection.ts';
export type { RangeOptions, WaitOptions } from './handlers/reading-options.ts';
export type { ReplayOptions, ReplayProgress } from './handlers/replay.ts';
export { newId } from './ids.ts';
export type { RecoveryReport } from './log/log.ts';
export { type FlushOption, type FlushPolicy, flushPresets, type LogOptions } from './log/policy.ts';
export type { Batch, Sink, SinkInfo, SinkModule } from './log/sink.ts';
export type { Logger } from './logger.ts';
export type { Address } from './message.ts';
export type { MessageOptions, MessageRetryOptions, UndeliveredMessage } from './message-options.ts';
export type { Metadata } from './metadata.ts';
export type { HandlerOptions, RuntimeOptions } from './options.ts';
export type { Level, Receipt } from './receipt.ts';
export { createRuntime, Runtime } from './runtime.ts';
export type { Secret } from './secrets.ts';
export type { StartOptions } from './start-options.ts';
export type { RuntimeStatus } from './status.ts';
export type { StoreOptions } from './store/adapter.ts';
export { openEventStore } from './store/open.ts';
export type { ReadOnlyEventStore } from './store/read-only.ts';
export type {
  EventArchive,
  EventQuery,
  EventStore,
  Head,
  Moment,
  QuarantinedEvent,
  StateThen,
  StoreQuery,
  TransactionClient,
  TypedEventArchive,
  TypeQuery,
} from './store/store.ts';
