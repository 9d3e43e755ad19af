// What kafka() was given, checked, and with every default filled in: plain data for the flush thread. Bad values are
// `InvalidOptions` here, before anything is started; no message repeats a secret.

import {
  checkCrosses,
  checkInteger,
  checkTls,
  isLoopback,
  isMadeBy,
  isOpenTls,
  type OpenHost,
} from '../../base/checks.ts';
import { TrunklineError } from '../../base/errors.ts';
import { Hidden } from '../../base/hidden.ts';
import { checkFields, fieldsOf } from '../../base/known-fields.ts';
import { forThread, isToken } from '../../base/secrets.ts';
import { shown } from '../../base/shown.ts';
import { checkModule } from '../../base/user-module.ts';
import {
  formats,
  type KafkaOptions,
  type KafkaSasl,
  type KafkaSettings,
  type RegistryOptions,
  type TopicOptions,
  type TopicSettings,
} from './kafka-options.ts';

const kafkaFields = fieldsOf<KafkaOptions>({
  brokers: 'list',
  clientId: 'text',
  client: 'text',
  ssl: true,
  sasl: 'object',
  topics: 'object',
  format: 'text',
  registry: 'object',
  integration: true,
  publishing: 'object',
  versions: 'object',
  batch: 'object',
  compression: 'text',
  backlogLimit: true,
  transactionTimeoutMs: true,
  requestTimeoutMs: true,
  connectTimeoutMs: true,
  resumeAfter: true,
});
const topicFields = fieldsOf<TopicOptions>({
  prefix: 'text',
  template: 'text',
  module: true,
  partitions: true,
  replicationFactor: true,
  retentionMs: true,
  cleanupPolicy: 'text',
  config: 'object',
  create: 'boolean',
  createLimit: true,
  internalPrefix: 'text',
});
const registryFields = fieldsOf<RegistryOptions>({
  url: 'text',
  username: 'text',
  password: 'secret',
  token: 'secret',
  ssl: 'object',
  compatibility: 'text',
  subjects: 'text',
  schemas: 'object',
});
type Password = Exclude<KafkaSasl, { mechanism: 'oauthbearer' }>;
type Bearer = Extract<KafkaSasl, { mechanism: 'oauthbearer' }>;
const passwordFields = fieldsOf<Password>({ mechanism: 'text', username: 'text', password: 'secret' });
const bearerFields = fieldsOf<Bearer>({ mechanism: 'text', token: 'secret', extensions: 'object' });
const batchFields = fieldsOf<NonNullable<KafkaOptions['batch']>>({ count: true, bytes: true, delayMs: true });

const compatibilities = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const;

/** Check, and fill in. */
export function resolveKafka(options: KafkaOptions): KafkaSettings {
  checkFields('stream', options, kafkaFields);
  if (options.topics !== undefined) checkFields('stream.topics', options.topics, topicFields);
  if (options.registry !== undefined) checkFields('stream.registry', options.registry, registryFields);
  if (options.batch !== undefined) checkFields('stream.batch', options.batch, batchFields);
  const { brokers, sasl, topics = {}, registry } = options;
  if (!Array.isArray(brokers) || brokers.length === 0) invalid('brokers', brokers, 'must name at least one host:port');
  for (const broker of brokers) {
    const port = Number(/^[^\s/@]+:(\d{1,5})$/.exec(typeof broker === 'string' ? broker : '')?.[1]);
    if (!(port > 0 && port <= 65_535)) invalid('brokers', broker, 'must be host:port');
  }
  let plain: object;
  try {
    plain = withoutSecrets(options);
    refuseFunctions('', plain);
  } catch (error) {
    if (error instanceof TrunklineError) throw error;
    return invalid('', options, 'holds what cannot be read'); // a revoked proxy, say
  }
  checkCrosses('stream', plain);
  const clientId = options.clientId ?? 'trunkline';
  if (!/^[\w.-]{1,100}$/.test(clientId)) invalid('clientId', clientId, 'must be 1 to 100 of a-z A-Z 0-9 . _ -');
  if (sasl !== undefined) checkSasl(sasl);
  if (options.ssl !== undefined) checkTls('stream.ssl', options.ssl);
  if (topics.module !== undefined) url('topics.module', topics.module);
  if (options.integration !== undefined) url('integration', options.integration);
  if (registry !== undefined) checkRegistry(registry);
  const { resumeAfter } = options;
  if (resumeAfter !== undefined) checkInteger('stream.resumeAfter', resumeAfter, 0, Number.MAX_SAFE_INTEGER);
  return {
    brokers: [...brokers],
    clientId,
    client: oneOf('client', options.client ?? 'platformatic', ['kafkajs', 'platformatic']),
    ssl: options.ssl,
    sasl,
    topics: resolveTopics(topics),
    format: oneOf('format', options.format ?? 'trunkline', formats),
    registry: registry && { compatibility: 'BACKWARD', subjects: 'topicRecord', schemas: {}, ...registry },
    integration: options.integration,
    publishing: checkPublishing('stream.publishing', options.publishing ?? {}),
    versions: checkVersions(options.versions ?? {}),
    compression: oneOf('compression', options.compression ?? 'none', ['none', 'gzip']),
    backlogLimit: options.backlogLimit ?? 100_000,
    transactionTimeoutMs: checkInteger(
      'stream.transactionTimeoutMs',
      options.transactionTimeoutMs ?? 30_000,
      1000,
      900_000,
    ),
    requestTimeoutMs: checkInteger('stream.requestTimeoutMs', options.requestTimeoutMs ?? 10_000, 100, 600_000),
    connectTimeoutMs: checkInteger('stream.connectTimeoutMs', options.connectTimeoutMs ?? 3_000, 100, 600_000),
    resumeAfter,
  };
}

/** Secrets may be functions: they stay in this thread, see `forThread`. */
function withoutSecrets(options: KafkaOptions): object {
  const { sasl, registry } = options;
  const none = { password: undefined, token: undefined };
  return { ...options, sasl: sasl && { ...sasl, ...none }, registry: registry && { ...registry, ...none } };
}

function checkSasl(sasl: KafkaSasl): void {
  const isBearer = sasl.mechanism === 'oauthbearer';
  checkFields('stream.sasl', sasl, isBearer ? bearerFields : passwordFields);
  oneOf('sasl.mechanism', sasl.mechanism, ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer']);
  if (!isBearer) {
    if (typeof sasl.username !== 'string') invalid('sasl.username', undefined, 'must be a text');
    if (sasl.password === undefined) invalid('sasl.password', undefined, 'must be text, or a function that gives it');
    return;
  }
  if (sasl.token === undefined) invalid('sasl.token', undefined, 'must be text, or a function that gives it');
  checkToken('sasl.token', sasl.token);
  for (const [name, value] of Object.entries(sasl.extensions ?? {})) {
    if (/^[a-z]{1,100}$/i.test(name) && name !== 'auth' && typeof value === 'string' && /^[\x20-\x7e]+$/.test(value)) {
      continue;
    }
    invalid('sasl.extensions', undefined, 'must be texts of printable ASCII by names of letters, other than auth');
  }
}

function checkToken(option: string, token: unknown): void {
  if (typeof token !== 'string' || isToken(token)) return;
  invalid(option, undefined, 'must be one word of printable ASCII');
}

function checkRegistry({ url, compatibility, subjects, schemas, ...who }: RegistryOptions): void {
  if (who.token !== undefined) {
    checkToken('registry.token', who.token);
    if (who.username !== undefined || who.password !== undefined) {
      invalid('registry.token', undefined, 'stands for user and password: keep one of the two');
    }
  } else if (who.password !== undefined && who.username === undefined) {
    invalid('registry.username', undefined, 'belongs to the password');
  }
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol)) invalid('registry.url', undefined, 'must be a URL with http(s)');
  if (parsed.username !== '' || parsed.password !== '') {
    invalid('registry.url', undefined, 'must hold no user and password: there are `username` and `password` for them');
  }
  if (compatibility !== undefined) oneOf('registry.compatibility', compatibility, compatibilities);
  if (subjects !== undefined) oneOf('registry.subjects', subjects, ['topicRecord', 'record', 'topic']);
  if (schemas === undefined) return;
  for (const [name, schema] of Object.entries(checkObject('registry.schemas', schemas))) {
    if (!/^[^.]+\../.test(name)) invalid('registry.schemas', name, 'must be named {aggregateType}.{eventType}');
    checkObject(`registry.schemas.${name}`, schema);
  }
}

/**
 * Which events are published: true or false by name.
 * @throws InvalidOptions
 */
export function checkPublishing(option: string, given: unknown): Readonly<Record<string, boolean>> {
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  if (isObject && Object.values(given).every((value) => typeof value === 'boolean'))
    return given as Readonly<Record<string, boolean>>;
  const reason = 'must say true or false by {aggregateType} or {aggregateType}.{eventType}';
  throw new TrunklineError('InvalidOptions', { option, value: shown(given), reason });
}

/**
 * Versions by event name, in lists. Which there are is known where the events are.
 * @throws InvalidOptions
 */
export function checkVersions(given: unknown): KafkaSettings['versions'] {
  const isVersion = (one: unknown): boolean => Number.isInteger(one) && (one as number) >= 1;
  return Object.fromEntries(
    Object.entries(checkObject('versions', given)).map(([name, chosen]): [string, number[]] => {
      const list: unknown[] = Array.isArray(chosen) ? [...chosen] : [chosen];
      if (list.length > 0 && list.every(isVersion)) return [name, list as number[]];
      return invalid(`versions.${name}`, chosen, 'must be the number of a version, or several in a list');
    }),
  );
}

/** @throws InvalidOptions */
export function resolveTopics(topics: TopicOptions): TopicSettings {
  const template = topics.template ?? '{prefix}.{aggregateType}';
  const unknown = /\{(?!(?:prefix|aggregateType|aggregate_type|eventType|event_type)\})[^}]*\}?/.exec(template)?.[0];
  if (unknown !== undefined) invalid('topics.template', template, `${unknown} is no placeholder`);
  const { retentionMs, cleanupPolicy, config = {} } = topics;
  if (retentionMs !== undefined) checkInteger('stream.topics.retentionMs', retentionMs, -1, Number.MAX_SAFE_INTEGER);
  if (cleanupPolicy !== undefined)
    oneOf('topics.cleanupPolicy', cleanupPolicy, ['delete', 'compact', 'compact,delete']);
  for (const [name, value] of Object.entries(config)) {
    if (typeof value !== 'string') invalid(`topics.config.${name}`, value, 'must be text, as Kafka takes it');
  }
  for (const name of ['prefix', 'internalPrefix'] as const) {
    const { [name]: text = 'x' } = topics;
    if (!/^[\w.-]{1,200}$/.test(text)) invalid(`topics.${name}`, text, 'must be 1 to 200 of a-z A-Z 0-9 . _ -');
  }
  return {
    ...topics,
    prefix: topics.prefix ?? 'events',
    template,
    partitions: checkInteger('stream.topics.partitions', topics.partitions ?? 6, 1, 10_000),
    replicationFactor: checkInteger('stream.topics.replicationFactor', topics.replicationFactor ?? 0, 0, 100),
    config: topics.config ?? {},
    create: topics.create ?? true,
    createLimit: checkInteger('stream.topics.createLimit', topics.createLimit ?? 1_000, 0, 1_000_000),
    internalPrefix: topics.internalPrefix ?? 'trunkline',
  };
}

function invalid(option: string, value: unknown, reason: string): never {
  throw new TrunklineError('InvalidOptions', { option: `stream.${option}`, value: shown(value), reason });
}

function checkObject(option: string, value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)) return value;
  return invalid(option, value, 'must be an object');
}

function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  return allowed.includes(value) ? value : invalid(option, value, `must be one of ${allowed.join(', ')}`);
}

function url(option: string, value: string): void {
  checkModule(`stream.${option}`, value);
}

/** They cannot cross to the flush thread. */
function refuseFunctions(path: string, value: unknown, seen = new Set<unknown>()): void {
  if (typeof value === 'function') invalid(path, value, 'cannot cross threads: put it into a module, and name that');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || seen.has(value)) return;
  seen.add(value);
  for (const [key, item] of Object.entries(value)) refuseFunctions(path === '' ? key : `${path}.${key}`, item, seen);
}

/** Of what `stream:` takes: of one that is not made by `kafka()`, none is known. */
export const openHostsOf = (options: unknown): OpenHost[] =>
  isMadeBy(Hidden<KafkaSettings>, options) ? openHosts(options.reveal()) : [];

export function openHosts({ brokers, ssl, sasl, registry }: KafkaSettings): OpenHost[] {
  const hosts = new Map<string, boolean>();
  const add = (host: string, sendsSecret: boolean): void => {
    if (!isLoopback(host)) hosts.set(host, sendsSecret || hosts.get(host) === true);
  };
  const sendsSecret = sasl !== undefined && !sasl.mechanism.startsWith('scram');
  if (isOpenTls(ssl)) for (const broker of brokers) add(broker.slice(0, broker.lastIndexOf(':')), sendsSecret);
  if (registry !== undefined) {
    const { protocol, hostname } = new URL(registry.url);
    const isOpen = protocol === 'http:' || isOpenTls(registry.ssl ?? true);
    if (isOpen) add(hostname, (registry.username ?? registry.token) !== undefined);
  }
  return [...hosts].map(([host, sendsSecret]) => ({ host, sendsSecret }));
}

/** What another thread gets of a stream's options: those of ours in plain, secrets' functions by their places. */
export function streamForThread(options: unknown): unknown {
  if (!isMadeBy(Hidden<KafkaSettings>, options)) return options;
  const settings = options.reveal();
  const { sasl, registry } = settings;
  return {
    ...settings,
    sasl:
      sasl?.mechanism === 'oauthbearer'
        ? { ...sasl, token: forThread(sasl.token) }
        : sasl && { ...sasl, password: forThread(sasl.password) },
    registry: registry && {
      ...registry,
      password: forThread(registry.password),
      token: forThread(registry.token),
    },
  };
}
