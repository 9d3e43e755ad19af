// How @platformatic/kafka connects: TLS, and the password or token of now for each authentication. Three of its ways are
// changed:
//
// - A connection that breaks while it authenticates reports that twice, and the second time there is no listener: the thread
//   would end. So each connection gets one.
// - It names no server in the TLS handshake (SNI), by which clouds find the cluster. It does for brokers that have names.
// - A broker that refuses a token says so in its answer, where the library does not look by itself.
import { isIP } from 'node:net';
import {
  type BaseOptions,
  type CallbackWithPromise,
  type Connection,
  instancesChannel,
  type SASLOptions,
} from '@platformatic/kafka';
import { secretText, tokenText } from '../../base/secrets.ts';
import type { KafkaSasl, KafkaSettings } from './kafka-options.ts';

instancesChannel.subscribe((message) => {
  const { type, instance } = message as { type: string; instance: Connection };
  if (type === 'connection') instance.on('error', () => {}); // the request that waits for the connection gets the first report
});

export function connectionOptions(settings: KafkaSettings): BaseOptions {
  const { ssl, sasl, connectTimeoutMs: connectTimeout, requestTimeoutMs: requestTimeout } = settings;
  const { brokers, clientId } = settings;
  const tls = ssl === true ? {} : ssl || undefined;
  const isNamed = brokers.some((broker) => isIP(broker.slice(0, broker.lastIndexOf(':'))) === 0);
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout,
    requestTimeout,
    ...(tls && { tls, tlsServerName: isNamed && tls.servername === undefined }),
    ...(sasl && { sasl: saslOptions(sasl, connectTimeout) }),
  };
}

function saslOptions(sasl: KafkaSasl, connectMs: number): SASLOptions {
  if (sasl.mechanism !== 'oauthbearer') {
    const { mechanism, username, password } = sasl;
    return { mechanism: named[mechanism], username, password: () => secretText(password, connectMs) };
  }
  const { token, extensions = {} } = sasl;
  return {
    mechanism: 'OAUTHBEARER',
    token: () => tokenText(token, connectMs),
    oauthBearerExtensions: extensions,
    authBytesValidator: refuseWords,
  };
}

const named = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const;

/** A token that is taken is answered with nothing (RFC 7628). */
function refuseWords(answer: Buffer, callback: CallbackWithPromise<Buffer>): void {
  if (answer.length === 0) callback(null, answer);
  else callback(new Error(`the broker has refused the token: ${answer.toString().slice(0, 200)}`), answer);
}
