// A Confluent-compatible schema registry, over its REST interface: three requests and an error. A client library would
// bring validators, code generators and cloud key stores of its own, several times our size, for these.
import { TrunklineError } from '../../base/errors.ts';
import { parseFields } from '../../base/foreign-file.ts';
import { secretText, tokenText } from '../../base/secrets.ts';
import { exchange } from './http.ts';
import type { KafkaSettings } from './kafka-options.ts';

const requestMs = 10_000;
const answerBytesLimit = 4 << 20; // a schema refused comes back whole
const mediaType = 'application/vnd.schemaregistry.v1+json';
const media = { 'content-type': mediaType, accept: mediaType };
const notFound = 404;
const conflict = 409;
const unprocessable = 422;

type Settings = NonNullable<KafkaSettings['registry']>;

type Level = Settings['compatibility'];

/** What each level promises: to read older data, to be read by older readers, and both across all versions. Weakest first. */
const promises: Readonly<Record<Level, string>> = {
  NONE: '',
  BACKWARD: 'b',
  FORWARD: 'f',
  BACKWARD_TRANSITIVE: 'bB',
  FORWARD_TRANSITIVE: 'fF',
  FULL: 'bf',
  FULL_TRANSITIVE: 'bBfF',
};
const isLevel = (text: string): text is Level => Object.hasOwn(promises, text);

/** The weakest level that promises what both do. */
function strictest(one: Level, other: Level): Level {
  const wanted = [...promises[one], ...promises[other]];
  const levels = Object.keys(promises) as Level[];
  return levels.find((level) => wanted.every((promise) => promises[level].includes(promise)))!;
}

export class Registry {
  private readonly settings: Settings;
  private readonly base: string;

  constructor(settings: Settings) {
    this.settings = settings;
    this.base = settings.url.replace(/\/+$/, '');
  }

  /**
   * The id of a JSON Schema under a subject, which is registered and has its compatibility set where that is not so yet.
   * @throws SchemaRefused with the registry's own words; RegistryUnavailable
   */
  async register(subject: string, schema: object): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions`;
    const body = { schemaType: 'JSON', schema: JSON.stringify(schema) };
    // A registry may know no settings of a subject that it does not know.
    const isNew = (await this.request('GET', path)).status === notFound;
    if (!isNew) await this.raiseCompatibility(subject);
    const answer = await this.request('POST', path, body);
    if (answer.status === conflict || answer.status === unprocessable) {
      const reason = [answer.text, await this.difference(subject, body)].filter(Boolean).join('; ');
      throw new TrunklineError('SchemaRefused', { subject, reason });
    }
    if (answer.status !== 200) throw this.unavailable(`POST ${path}: ${answer.status} ${answer.text}`);
    if (isNew) await this.raiseCompatibility(subject);
    const id = idIn(answer.text);
    if (id === undefined) throw this.unavailable(`POST ${path}: its answer holds no id`);
    return id;
  }

  /** The id that a JSON Schema has under a subject; undefined: it has none there, or the registry does not tell. @throws RegistryUnavailable */
  async find(subject: string, schema: object): Promise<number | undefined> {
    const path = `/subjects/${encodeURIComponent(subject)}`;
    const { status, text } = await this.request('POST', path, { schemaType: 'JSON', schema: JSON.stringify(schema) });
    if (status >= 500 && status !== 501) throw this.unavailable(`POST ${path}: ${status} ${text}`);
    return status === 200 ? idIn(text) : undefined;
  }

  /**
   * The subject gets our level, and keeps what its own, or else the registry's, asks beyond it: operators may have set a
   * stricter one by hand. A level that is not known here stays.
   */
  private async raiseCompatibility(subject: string): Promise<void> {
    const path = `/config/${encodeURIComponent(subject)}`;
    const own = await this.levelAt(path);
    const found = own ?? (await this.levelAt('/config')) ?? 'NONE';
    if (!isLevel(found)) return;
    const compatibility = strictest(found, this.settings.compatibility);
    if (compatibility === own) return;
    const { status, text } = await this.request('PUT', path, { compatibility });
    if (status !== 200) throw this.unavailable(`PUT ${path}: ${status} ${text}`);
  }

  private async levelAt(path: string): Promise<string | undefined> {
    const { status, text } = await this.request('GET', path);
    if (status === notFound) return undefined;
    const { compatibilityLevel: level } = parseFields(text);
    if (status !== 200 || typeof level !== 'string') throw this.unavailable(`GET ${path}: ${status} ${text}`);
    return level;
  }

  /** What is incompatible, if the registry can tell. */
  private async difference(subject: string, body: object): Promise<string> {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions/latest?verbose=true`;
    const { status, text } = await this.request('POST', path, body);
    if (status !== 200) return '';
    const { messages } = parseFields(text);
    return Array.isArray(messages) ? messages.join('; ') : '';
  }

  /** A server may repeat in its answer what it was sent: credentials are taken out. */
  private async request(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    const sent = body && JSON.stringify(body);
    let secrets: readonly string[] = [];
    try {
      const { authorization, ...who } = await this.credentials();
      secrets = who.secrets;
      const bounds = { timeoutMs: requestMs, bytesLimit: answerBytesLimit };
      const request = {
        method,
        headers: { ...media, ...(authorization && { authorization }) },
        body: sent,
        tls: this.settings.ssl,
        ...bounds,
      };
      const { status, text } = await exchange(this.base + path, request);
      return { status, text: without(secrets, text) };
    } catch (error) {
      throw this.unavailable(without(secrets, `${method} ${path}: ${(error as Error).message}`));
    }
  }

  /** Those of now, for one request. @throws SecretMissing */
  private async credentials(): Promise<{ authorization?: string; secrets: readonly string[] }> {
    const { username, password, token } = this.settings;
    if (token !== undefined) {
      const text = await tokenText(token, requestMs);
      return { authorization: `Bearer ${text}`, secrets: [text] };
    }
    if (username === undefined) return { secrets: [] };
    const text = password === undefined ? '' : await secretText(password, requestMs);
    const encoded = Buffer.from(`${username}:${text}`).toString('base64');
    return { authorization: `Basic ${encoded}`, secrets: [text, encoded] };
  }

  private unavailable(cause: string): TrunklineError {
    return new TrunklineError('RegistryUnavailable', { registry: new URL(this.base).host, cause });
  }
}

function idIn(answer: string): number | undefined {
  const { id } = parseFields(answer);
  return Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 31 ? (id as number) : undefined;
}

const without = (secrets: readonly string[], words: string): string =>
  secrets.reduce((text, secret) => (secret === '' ? text : text.replaceAll(secret, '…')), words);
