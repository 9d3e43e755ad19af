// Authentication with kafkajs, with the password or token of now at each. Its own options take a function for tokens alone, so
// this calls the authenticators that it has inside (of 2.2.4: kafkajs-fetch.ts refuses any other). One thing differs: a broker
// that refuses a token says so in its answer, which kafkajs does not read; the next request would fail without that reason.
import { createRequire } from 'node:module';
import type { AuthenticationProviderArgs, Authenticator, Mechanism } from 'kafkajs';
import { secretText, tokenText } from '../../base/secrets.ts';
import type { KafkaSasl } from './kafka-options.ts';

type Provider = (args: AuthenticationProviderArgs) => Authenticator;

const require = createRequire(import.meta.url);
const { KafkaJSSASLAuthenticationError } = require('kafkajs/src/errors.js');
const Decoder = require('kafkajs/src/protocol/decoder.js');
const bearerRequest: (sasl: object, token: object) => Promise<never> =
  require('kafkajs/src/protocol/sasl/oauthBearer/request.js');
const byPassword: Readonly<Record<string, (sasl: object) => Provider>> = {
  plain: require('kafkajs/src/broker/saslAuthenticator/plain.js'),
  'scram-sha-256': require('kafkajs/src/broker/saslAuthenticator/scram256.js'),
  'scram-sha-512': require('kafkajs/src/broker/saslAuthenticator/scram512.js'),
};

export function kafkajsSasl(sasl: KafkaSasl, connectMs: number): Mechanism {
  return {
    mechanism: sasl.mechanism,
    authenticationProvider: (args: AuthenticationProviderArgs) => ({
      authenticate: () => authenticate(sasl, connectMs, args),
    }),
  };
}

async function authenticate(sasl: KafkaSasl, connectMs: number, args: AuthenticationProviderArgs): Promise<void> {
  if (sasl.mechanism !== 'oauthbearer') {
    const password = await secretText(sasl.password, connectMs);
    return byPassword[sasl.mechanism]!({ username: sasl.username, password })(args).authenticate();
  }
  const value = await tokenText(sasl.token, connectMs);
  const request = await bearerRequest({}, { value, extensions: sasl.extensions });
  await args.saslAuthenticate({ request, response: { decode: bytesOf, parse: refuseWords } });
}

const bytesOf = async (answer: Buffer): Promise<Buffer> => new Decoder(answer).readBytes() ?? Buffer.alloc(0);

/** A token that is taken is answered with nothing (RFC 7628). */
async function refuseWords(answer: Buffer): Promise<void> {
  if (answer.length === 0) return;
  throw new KafkaJSSASLAuthenticationError(`the broker has refused the token: ${answer.toString().slice(0, 200)}`);
}
