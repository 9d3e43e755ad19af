// A broker that asks who we are, in every way: openly (for the tests' own requests), by SASL without TLS, by SASL over TLS (where
// a client has to authenticate anew every few seconds), and by certificates.
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { alterUserScramCredentialsV0, Connection } from '@platformatic/kafka';
import { makeCertificates } from '../certificates.ts';
import { Kafka } from '../kafka.ts';
import { freePorts } from '../watched.ts';

export interface GuardedBroker extends AsyncDisposable {
  readonly open: string;
  /** PLAIN and SCRAM-SHA-256, without TLS. */
  readonly sasl: string;
  /** SCRAM-SHA-256 and OAUTHBEARER, over TLS. */
  readonly saslTls: string;
  /** By a client's certificate. */
  readonly mutual: string;
  readonly certificates: ReturnType<typeof makeCertificates>;
  /** Change a user's password of SCRAM-SHA-256, or give a new user one. */
  setPassword(name: string, password: string): Promise<void>;
}

const bearer = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required';
const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
const plain = (users: Record<string, string>): string =>
  `org.apache.kafka.common.security.plain.PlainLoginModule required ${Object.entries(users)
    .map(([name, password]) => `user_${name}="${password}"`)
    .join(' ')};`;
const reauthenticateMs = 5000;

export async function startGuardedBroker(): Promise<GuardedBroker> {
  const ports = await freePorts(5);
  const at = (index: number): string => `127.0.0.1:${ports[index]}`;
  const [open, sasl, mutual, controller] = [at(0), at(1), at(3), at(4)];
  const saslTls = `localhost:${ports[2]}`; // a name, as clouds' brokers have
  const certificates = makeCertificates();
  const { ca, server } = certificates;
  const pem = (text: string): string => text.trim().replaceAll('\n', '\\n');
  const listeners = `PLAINTEXT://${open},SASL_PLAINTEXT://${sasl},SASL_SSL://${saslTls},SSL://${mutual}`;
  const broker = await Kafka.start(
    {
      listeners: `${listeners},CONTROLLER://${controller}`,
      'advertised.listeners': listeners,
      'controller.quorum.voters': `1@${controller}`,
      'listener.security.protocol.map':
        'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
      'listener.name.sasl_plaintext.plain.sasl.jaas.config': plain({ super: 'sesame', limited: 'sesame' }),
      'listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config': scram,
      'listener.name.sasl_ssl.sasl.enabled.mechanisms': 'SCRAM-SHA-256,OAUTHBEARER',
      'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': scram,
      'listener.name.sasl_ssl.oauthbearer.sasl.jaas.config': `${bearer} unsecuredLoginStringClaim_sub="broker";`,
      'listener.name.sasl_ssl.scram-sha-256.connections.max.reauth.ms': String(reauthenticateMs),
      'listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms': String(reauthenticateMs),
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.certificate.chain': pem(server.cert),
      'ssl.keystore.key': pem(server.key),
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.certificates': pem(ca),
      'listener.name.ssl.ssl.client.auth': 'required',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS;User:super;User:scrambled;User:rotating;User:bearer;User:CN=client',
    },
    ['--add-scram', 'SCRAM-SHA-256=[name=scrambled,password=sesame]'],
  );
  return {
    open,
    sasl,
    saslTls,
    mutual,
    certificates,
    setPassword: (name, password) => setPassword(ports[0]!, name, password),
    [Symbol.asyncDispose]: () => broker.stop(),
  };
}

const scramSha256 = 1;

async function setPassword(port: number, name: string, password: string): Promise<void> {
  const connection = new Connection('administrator');
  await connection.connect('127.0.0.1', port);
  const [salt, iterations] = [randomBytes(16), 4096];
  const saltedPassword = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const user = { name, mechanism: scramSha256, iterations, salt, saltedPassword };
  await alterUserScramCredentialsV0.api.async(connection, [], [user]);
  await connection.close();
}
