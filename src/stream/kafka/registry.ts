// A Confluent-compatible schema registry, over its REST interface: three requests and an error. A client library would
// bring validators, code generators and cloud key stores of its own, several times our size, for these.
import { TrunklineError } from '../../errors.ts';
import { collectText, parseFields } from '../../foreign-file.ts';
import type { KafkaSettings } from '../kafka.ts';

const requestMs = 10_000;
const answerBytesLimit = 4 << 20; // a schema refused comes back whole
const mediaType = 'application/vnd.schemaregistry.v1+json';
const notFound = 404;
const conflict = 409;
const unprocessable = 422;

type Settings = NonNullable<KafkaSettings['registry']>;

export class Registry {
  private readonly settings: Settings;
  private readonly base: string;
  private readonly headers: Record<string, string>;

  constructor(settings: Settings) {
    this.settings = settings;
    const { username, password = '' } = settings;
    this.base = settings.url.replace(/\/+$/, '');
    this.headers = { 'content-type': mediaType, accept: mediaType };
    if (username !== undefined) {
      this.headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    }
  }

  /**
   * The id of a JSON Schema under a subject, which is registered and has its compatibility set where that is not so yet.
   * @throws SchemaRefused with the registry's own words; RegistryUnavailable
   */
  async register(subject: string, schema: object): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions`;
    const body = { schemaType: 'JSON', schema: JSON.stringify(schema) };
    const { compatibility } = this.settings;
    // A registry may know no settings of a subject that it does not know.
    const isNew = (await this.request('GET', path)).status === notFound;
    if (!isNew) await this.setCompatibility(subject, compatibility);
    const answer = await this.request('POST', path, body);
    if (answer.status === conflict || answer.status === unprocessable) {
      const reason = [answer.text, await this.difference(subject, body)].filter(Boolean).join('; ');
      throw new TrunklineError('SchemaRefused', { subject, reason });
    }
    if (answer.status !== 200) throw this.unavailable(`POST ${path}: ${answer.status} ${answer.text}`);
    if (isNew) await this.setCompatibility(subject, compatibility);
    const { id } = parseFields(answer.text);
    if (!(Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 31)) {
      throw this.unavailable(`POST ${path}: its answer holds no id`);
    }
    return id as number;
  }

  private async setCompatibility(subject: string, compatibility: string): Promise<void> {
    const path = `/config/${encodeURIComponent(subject)}`;
    const { status, text } = await this.request('PUT', path, { compatibility });
    if (status !== 200) throw this.unavailable(`PUT ${path}: ${status} ${text}`);
  }

  /** What is incompatible, if the registry can tell. */
  private async difference(subject: string, body: object): Promise<string> {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions/latest?verbose=true`;
    const { status, text } = await this.request('POST', path, body);
    if (status !== 200) return '';
    const { messages } = parseFields(text);
    return Array.isArray(messages) ? messages.join('; ') : '';
  }

  private async request(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    try {
      const init: RequestInit = { method, headers: this.headers, signal: AbortSignal.timeout(requestMs) };
      if (body) init.body = JSON.stringify(body);
      const response = await fetch(this.base + path, init);
      const { body: answer, status } = response;
      return { status, text: answer === null ? '' : await collectText(answer, this.base + path, answerBytesLimit) };
    } catch (error) {
      const { message, cause } = error as Error;
      throw this.unavailable(cause instanceof Error ? `${message}: ${cause.message}` : message);
    }
  }

  /** A server may repeat in its answer what it was sent. */
  private unavailable(words: string): TrunklineError {
    const { password } = this.settings;
    const encoded = this.headers.authorization?.replace('Basic ', '');
    const cause = [password, encoded].reduce<string>(
      (text, secret) => (secret ? text.replaceAll(secret, '…') : text),
      words,
    );
    return new TrunklineError('RegistryUnavailable', { registry: new URL(this.base).host, cause });
  }
}
