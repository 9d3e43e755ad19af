// What goes wrong in kafkajs, in our words.
import { SecretMissing } from '../../base/secrets.ts';
import { errorsIn, type FaultKind, offClock, pending, refusals, StreamFault } from './stream.ts';

const fencing = ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'TRANSACTION_COORDINATOR_FENCED'];
const tooLarge = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];
const denied = [
  'SASL_AUTHENTICATION_FAILED',
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'ILLEGAL_SASL_STATE',
];
/** PRODUCER_FENCED: kafkajs has neither a name nor a code for it, and says the number in its message alone. */
const fencedMessage = 'Unknown error code 90';

export function kindOf(error: unknown): FaultKind {
  for (const one of errorsIn(error)) {
    if (one instanceof StreamFault) return one.kind;
    if (one instanceof SecretMissing) return 'unavailable';
    if (fencing.includes(one.type) || one.message === fencedMessage) return 'fenced';
    if (tooLarge.includes(one.type)) return 'too-large';
    if (refusals.includes(one.type)) return 'refused';
    if (offClock.includes(one.type)) return 'clock';
    if (denied.includes(one.type) || one.name === 'KafkaJSSASLAuthenticationError') return 'denied';
    if (pending.includes(one.type)) return 'unavailable';
    if (/^KafkaJS(Connection|RequestTimeout|BrokerNotFound)/.test(one.name)) return 'unavailable';
  }
  return 'failed';
}

export async function inOurWords<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new StreamFault(kindOf(error), error);
  }
}
