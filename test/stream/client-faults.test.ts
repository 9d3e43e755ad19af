// What brokers say, in the words of each client library, and what we make of it: what passes is an outage, and only what
// cannot pass is anything else.
import { createRequire } from 'node:module';
import { ProtocolError } from '@platformatic/kafka';
import { describe, expect, test } from 'vitest';
import { kindOf as kindByKafkajs } from '../../src/adapters/kafka/kafkajs-faults.ts';
import { kindOf as kindByPlatformatic } from '../../src/adapters/kafka/platformatic-faults.ts';
import { type FaultKind, StreamFault } from '../../src/adapters/kafka/stream.ts';

const require = createRequire(import.meta.url);
const { createErrorFromCode } = require('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): Error };
const { KafkaJSNumberOfRetriesExceeded } = require('kafkajs/src/errors') as {
  KafkaJSNumberOfRetriesExceeded: new (error: Error, details: object) => Error;
};

/** By the numbers of the protocol. */
const kinds: readonly (readonly [string, number, FaultKind])[] = [
  ['CONCURRENT_TRANSACTIONS', 51, 'unavailable'],
  ['INVALID_PRODUCER_EPOCH', 47, 'fenced'],
  ['PRODUCER_FENCED', 90, 'fenced'],
  ['TRANSACTION_COORDINATOR_FENCED', 52, 'fenced'],
  ['MESSAGE_TOO_LARGE', 10, 'too-large'],
  ['RECORD_LIST_TOO_LARGE', 18, 'too-large'],
  ['INVALID_TOPIC_EXCEPTION', 17, 'refused'],
  ['INVALID_PARTITIONS', 37, 'refused'],
  ['INVALID_CONFIG', 40, 'refused'],
  ['POLICY_VIOLATION', 44, 'refused'],
  ['INVALID_RECORD', 87, 'refused'],
  ['INVALID_TIMESTAMP', 32, 'clock'],
  ['TOPIC_AUTHORIZATION_FAILED', 29, 'denied'],
  ['CLUSTER_AUTHORIZATION_FAILED', 31, 'denied'],
  ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 53, 'denied'],
  ['SASL_AUTHENTICATION_FAILED', 58, 'denied'],
  // Tried again, as anything that nobody knows; and no reason to set an event aside.
  ['UNKNOWN_SERVER_ERROR', -1, 'failed'],
  ['THROTTLING_QUOTA_EXCEEDED', 89, 'failed'],
];

const libraries: readonly [string, (error: unknown) => FaultKind, (code: number) => Error, (error: Error) => Error][] =
  [
    [
      'kafkajs',
      kindByKafkajs,
      createErrorFromCode,
      (error) => new KafkaJSNumberOfRetriesExceeded(error, { retryCount: 8, retryTime: 500 }),
    ],
    [
      'platformatic',
      kindByPlatformatic,
      (code) => new ProtocolError(code),
      (error) => new AggregateError([new Error('the first try'), error], 'all tries failed'),
    ],
  ];

describe.each(libraries)('%s', (_, kindOf, errorOf, afterTries) => {
  test.each(kinds)('%s (%i): %s', (_name, code, kind) => {
    const error = errorOf(code);
    expect([kindOf(error), kindOf(afterTries(error)), kindOf(new StreamFault(kindOf(error), error))]).toEqual([
      kind,
      kind,
      kind,
    ]);
  });
});
