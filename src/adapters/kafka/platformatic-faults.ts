// What goes wrong in @platformatic/kafka, in our words.
import { SecretMissing } from '../../base/secrets.ts';
import { errorsIn, type FaultKind, offClock, pending, refusals, StreamFault } from './stream.ts';

const kinds: readonly (readonly [FaultKind, readonly string[]])[] = [
  ['fenced', ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'TRANSACTION_COORDINATOR_FENCED']],
  ['too-large', ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']],
  ['refused', refusals],
  ['clock', offClock],
  [
    'denied',
    [
      'PLT_KFK_AUTHENTICATION',
      'SASL_AUTHENTICATION_FAILED',
      'TOPIC_AUTHORIZATION_FAILED',
      'CLUSTER_AUTHORIZATION_FAILED',
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    ],
  ],
  ['unavailable', ['PLT_KFK_NETWORK', 'PLT_KFK_TIMEOUT', ...pending]],
];

export function kindOf(error: unknown): FaultKind {
  if (error instanceof StreamFault) return error.kind;
  const parts = errorsIn(error);
  if (parts.some((one) => one instanceof SecretMissing)) return 'unavailable';
  const isOne = (names: readonly string[]): boolean =>
    parts.some(({ apiId, code }) => names.includes(apiId) || names.includes(code));
  return kinds.find(([, names]) => isOne(names))?.[0] ?? 'failed';
}

export async function inOurWords<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new StreamFault(kindOf(error), error);
  }
}
