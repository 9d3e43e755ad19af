// One HTTP exchange with a server that is not ours: no redirect is followed (its target would get the body, and perhaps the
// credentials), the answer has a limit of bytes, all of it a bound of time. Any thread.
import { type IncomingMessage, request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { collectText } from '../../base/foreign-file.ts';
import { guarded } from '../../base/guarded.ts';

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** For `https:`: authorities, a certificate of our own. */
  readonly tls?: ConnectionOptions | undefined;
  readonly timeoutMs: number;
  /** Of the answer's body. */
  readonly bytesLimit: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** Rejects with what goes wrong on the way, a redirect, and an answer beyond its limit. */
export function exchange(
  url: string,
  { method, headers, body, tls, timeoutMs, bytesLimit }: HttpRequest,
): Promise<HttpAnswer> {
  const { protocol } = new URL(url);
  const signal = AbortSignal.timeout(timeoutMs);
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const options = { method, headers: { ...headers, ...length }, signal, agent: false as const };
  return new Promise((resolve, reject) => {
    const sent = protocol === 'https:' ? overHttps(url, { ...tls, ...options }) : overHttp(url, options);
    sent.on(
      'error',
      guarded((error: Error) => reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error)),
    );
    sent.on(
      'response',
      guarded((response: IncomingMessage) => {
        const { statusCode: status = 0 } = response;
        if (status >= 300 && status < 400) {
          sent.destroy();
          reject(
            new Error(`${status}: it sends us elsewhere, and is not followed; name the address where the registry is`),
          );
          return;
        }
        collectText(response, 'the answer', bytesLimit).then(
          (text) => resolve({ status, text }),
          (error: Error) => {
            sent.destroy();
            reject(signal.aborted ? new Error(`no whole answer within ${timeoutMs} ms`) : error);
          },
        );
      }),
    );
    sent.end(body);
  });
}
