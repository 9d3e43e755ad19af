// What a user says of the Kafka stream, and what it becomes once every default is filled in (settings.ts): plain data.
import type { Secret } from '../../base/secrets.ts';

/** What a record looks like: see kafka/format.ts. */
export type Format = 'trunkline' | 'snake-case' | 'cloudevents-binary' | 'cloudevents-structured';

export const formats: readonly Format[] = ['trunkline', 'snake-case', 'cloudevents-binary', 'cloudevents-structured'];

/** Where events go, and what the topics are like. */
export interface TopicOptions {
  /** Default `events`. */
  prefix?: string | undefined;
  /**
   * Name of an event's topic; placeholders `{prefix}`, `{aggregateType}` and `{eventType}` (or `{aggregate_type}`,
   * `{event_type}`). Default `{prefix}.{aggregateType}`. A topic per event type gives up the order across an aggregate's
   * events of several types.
   */
  template?: string | undefined;
  /** URL of a module whose default export names the topic instead: `(aggregateType, eventType) => string`. */
  module?: string | undefined;
  /** Of topics that are created; 1 to 10,000; default 6. */
  partitions?: number | undefined;
  /** Of topics that are created; default: as many as there are brokers, three at most. */
  replicationFactor?: number | undefined;
  /** How long records are kept, milliseconds, -1 without limit; default: the broker's. */
  retentionMs?: number | undefined;
  /** Default: the broker's. */
  cleanupPolicy?: 'delete' | 'compact' | 'compact,delete' | undefined;
  /** Further topic settings by Kafka's names. */
  config?: Readonly<Record<string, string>> | undefined;
  /** Create what is missing; default true. If false, events wait until their topics have been created elsewhere. */
  create?: boolean | undefined;
  /**
   * Most topics that one run creates for events that no aggregate declares (of entities and integration mappings), and as many
   * again for those that come by transactions (`saveWithTx`, `save_event`, `raise_event`); 0 to 1,000,000; default 1,000. An event that
   * would need one more is quarantined.
   */
  createLimit?: number | undefined;
  /**
   * Prefix of the stream's own topics, of checkpoints and of what was quarantined, and of its transactional id; default
   * `trunkline`. One for each service keeps the rights of several apart.
   */
  internalPrefix?: string | undefined;
}

/** A Confluent-compatible schema registry. */
export interface RegistryOptions {
  /** Base address: `http://host:8081`. A user and a password belong into `username` and `password`. */
  url: string;
  username?: string | undefined;
  /** Text, or a function that gives it, called for each request. */
  password?: Secret | undefined;
  /** A bearer token instead of user and password: text, or a function that gives it, called for each request. */
  token?: Secret | undefined;
  /** For `https:`: options of Node's `tls.connect` that are plain data, as `ca`, `cert` and `key`. */
  ssl?: Readonly<Record<string, unknown>> | undefined;
  /**
   * For every subject; default `BACKWARD`. A stricter level that the subject, or the registry, has is kept: what both ask is
   * set.
   */
  compatibility?:
    | 'NONE'
    | 'BACKWARD'
    | 'BACKWARD_TRANSITIVE'
    | 'FORWARD'
    | 'FORWARD_TRANSITIVE'
    | 'FULL'
    | 'FULL_TRANSITIVE'
    | undefined;
  /**
   * `topicRecord` (default): subject `{topic}-{eventType}`; `record`: `{aggregateType}.{eventType}`; `topic`:
   * `{topic}-value`, for topics that carry one event type.
   */
  subjects?: 'topicRecord' | 'record' | 'topic' | undefined;
  /**
   * JSON Schemas of payloads by `{aggregateType}.{eventType}`, where the definition's validator does not give one; of
   * integration events by `integration.{type}`, registered under the subject `{type}`.
   */
  schemas?: Readonly<Record<string, object>> | undefined;
}

/**
 * Who we are to the brokers. A function gives the password or token of now; it may be async, is called for each connection
 * (and when one authenticates again), in the thread of the options, and has three quarters of `connectTimeoutMs`.
 */
export type KafkaSasl =
  | { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: Secret }
  | {
      /** Also for IAM of Amazon MSK, with the token of `aws-msk-iam-sasl-signer-js`. */
      mechanism: 'oauthbearer';
      token: Secret;
      /** SASL extensions, as `logicalCluster` and `identityPoolId` of Confluent Cloud. */
      extensions?: Readonly<Record<string, string>> | undefined;
    };

/** What `kafka()` takes. */
export interface KafkaOptions {
  /** `host:port`, at least one. */
  brokers: readonly string[];
  /** Default `trunkline`. */
  clientId?: string | undefined;
  /** The client library, installed beside trunkline: `platformatic` (default) is `@platformatic/kafka`, `kafkajs` is `kafkajs` 2.2.4. */
  client?: 'kafkajs' | 'platformatic' | undefined;
  /** TLS: true, or the options of Node's `tls.connect` that are plain data, as `ca`, `cert` and `key`. */
  ssl?: boolean | Readonly<Record<string, unknown>> | undefined;
  sasl?: KafkaSasl | undefined;
  topics?: TopicOptions | undefined;
  /** What a record looks like; default `trunkline`, the event as `StoredEvent` shows it. */
  format?: Format | undefined;
  registry?: RegistryOptions | undefined;
  /** URL of a module whose default export is a list of `integration(…)`. */
  integration?: string | undefined;
  /**
   * Which events are published, by `{aggregateType}` or `{aggregateType}.{eventType}`; default all. Integration events are
   * turned on and off for themselves, by `integration` or `integration.{type}`.
   */
  publishing?: Readonly<Record<string, boolean>> | undefined;
  /**
   * In which version of its payload an event is published, by `{eventType}` or `{aggregateType}.{eventType}`, names of today or
   * of the past: `{ OrderCreated: 2 }`; several versions, `[1, 2]`, are one record each. Records have the name that stands here.
   * Default: as the event is stored.
   */
  versions?: Readonly<Record<string, number | readonly number[]>> | undefined;
  /** One transaction takes what has arrived, up to these bounds. */
  batch?: {
    /** Events; default 5,000. */
    count?: number | undefined;
    /** Bytes; default 4 MiB. */
    bytes?: number | undefined;
    /** Shortest time between two transactions while no caller waits for `published`, milliseconds; default 10. */
    delayMs?: number | undefined;
  };
  /** Default `none`. */
  compression?: 'none' | 'gzip' | undefined;
  /** Tell the logger when more than so many log positions wait to be published; default 100,000. */
  backlogLimit?: number | undefined;
  /** How long the broker may let a transaction stand that we have left, milliseconds; default 30,000. */
  transactionTimeoutMs?: number | undefined;
  /** How long one request may take, milliseconds; default 10,000. */
  requestTimeoutMs?: number | undefined;
  /** How long a connection may take, milliseconds; default 3,000. */
  connectTimeoutMs?: number | undefined;
  /**
   * After `CheckpointMissing` or `CheckpointInvalid` only: the last log position that counts as published. The stream goes on behind it. One
   * that is lower than what is known to be published is refused, so that an option left behind publishes nothing again.
   */
  resumeAfter?: number | undefined;
}

/** With every default. Plain data. */
export interface KafkaSettings
  extends Required<
    Omit<KafkaOptions, 'ssl' | 'sasl' | 'topics' | 'registry' | 'integration' | 'versions' | 'batch' | 'resumeAfter'>
  > {
  versions: Readonly<Record<string, readonly number[]>>;
  ssl: KafkaOptions['ssl'];
  sasl: KafkaOptions['sasl'];
  registry: (Required<Omit<RegistryOptions, 'username' | 'password' | 'token' | 'ssl'>> & RegistryOptions) | undefined;
  integration: string | undefined;
  resumeAfter: number | undefined;
  topics: TopicSettings;
}

/** With every default. */
export type TopicSettings = Required<Omit<TopicOptions, 'module' | 'retentionMs' | 'cleanupPolicy'>> & TopicOptions;
