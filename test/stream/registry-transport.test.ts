// What the registry's client takes from a server that is not ours, and what it gives away: levels that operators have set,
// redirects, answers without end, TLS. Real servers on loopback.
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { Registry } from '../../src/adapters/kafka/registry.ts';
import { resolveKafka } from '../../src/adapters/kafka/settings.ts';
import type { RegistryOptions } from '../../src/kafka.ts';
import { makeCertificates } from '../certificates.ts';
import { errorOf } from '../runtime/scratch.ts';

async function serve(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const registryAt = (url: string, more: Partial<RegistryOptions> = {}): Registry =>
  new Registry(
    resolveKafka({ brokers: ['h:1'], registry: { url, username: 'u', password: 'sesame', ...more } }).registry!,
  );

/** A registry that holds levels, and knows its subjects. */
function levelled(levels: Record<string, string>, set: string[]): RequestListener {
  return (request, answer) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => {
      const path = request.url!;
      if (!path.startsWith('/config')) return void answer.end('{"id":5}');
      if (request.method === 'PUT') {
        set.push(JSON.parse(body).compatibility);
        return void answer.end(body);
      }
      const level = levels[path.slice('/config'.length)];
      if (level === undefined) return void answer.writeHead(404).end('{}');
      answer.end(JSON.stringify({ compatibilityLevel: level }));
    });
  };
}

test.each([
  [{}, 'BACKWARD', ['BACKWARD']],
  [{ '': 'NONE' }, 'BACKWARD', ['BACKWARD']],
  [{ '': 'FULL' }, 'BACKWARD', ['FULL']],
  [{ '': 'FULL', '/s': 'NONE' }, 'FORWARD', ['FORWARD']],
  [{ '/s': 'FULL_TRANSITIVE' }, 'BACKWARD', []],
  [{ '/s': 'FULL_TRANSITIVE' }, 'NONE', []],
  [{ '/s': 'BACKWARD' }, 'BACKWARD', []],
  [{ '/s': 'FORWARD' }, 'BACKWARD', ['FULL']],
  [{ '/s': 'FORWARD' }, 'BACKWARD_TRANSITIVE', ['FULL_TRANSITIVE']],
  [{ '/s': 'BACKWARD' }, 'FULL_TRANSITIVE', ['FULL_TRANSITIVE']],
  [{ '/s': 'SOMETHING_NEW' }, 'BACKWARD', []],
] as const)('levels %j, and %s is wanted: %j is set', async (levels, compatibility, expected) => {
  const set: string[] = [];
  const url = `http://${await serve(createServer(levelled(levels, set)))}`;
  expect(await registryAt(url, { compatibility }).register('s', { type: 'object' })).toBe(5);
  expect(set).toEqual(expected);
});

test.each([301, 302, 303, 307, 308])('a redirect by %i is named, and its target gets nothing', async (status) => {
  let reached = 0;
  const elsewhere = await serve(
    createServer((_, answer) => {
      reached++;
      answer.end('{"id":7}');
    }),
  );
  const server = createServer((_, answer) => answer.writeHead(status, { location: `http://${elsewhere}/` }).end());
  const error = await errorOf(registryAt(`http://${await serve(server)}`).register('s', {}));
  expect(error).toMatchObject({ code: 'RegistryUnavailable', message: expect.stringContaining(`${status}`) });
  expect(reached).toBe(0);
});

test('an answer without end, and one that breaks off, are named', async () => {
  const piece = Buffer.alloc(1 << 20, 'x');
  const endless = createServer((_, answer) => {
    const pour = (): void => {
      while (!answer.destroyed && answer.write(piece));
    };
    answer.on('drain', pour);
    pour();
  });
  const broken = createServer((_, answer) => {
    answer.writeHead(200, { 'content-length': '100' }).write('x', () => answer.destroy());
  });
  for (const server of [endless, broken]) {
    const error = await errorOf(registryAt(`http://${await serve(server)}`).register('s', {}));
    expect(error).toMatchObject({ code: 'RegistryUnavailable' });
  }
});

test('TLS: its authority must be known, and it may ask for a certificate of ours', async () => {
  const { ca, server, client } = makeCertificates();
  const names: (string | undefined)[] = [];
  const answerTo = levelled({ '/s': 'BACKWARD' }, []);
  const https = createTlsServer({ ...server, ca, requestCert: true, rejectUnauthorized: true }, (request, answer) => {
    names.push(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN));
    answerTo(request, answer);
  });
  const url = `https://${await serve(https)}`;
  const code = async (ssl?: object): Promise<string> =>
    (await errorOf(registryAt(url, { ssl: ssl as Record<string, unknown> }).register('s', {}))).code;
  expect(await code()).toBe('RegistryUnavailable'); // an authority that nobody here knows
  expect(await code({ ca })).toBe('RegistryUnavailable'); // no certificate of ours
  expect(names).toEqual([]);
  expect(await registryAt(url, { ssl: { ca, ...client } }).register('s', {})).toBe(5);
  expect(new Set(names)).toEqual(new Set(['client']));
});

test('a password or token as a function is called for each request; what it gives is not shown', async () => {
  const seen: (string | undefined)[] = [];
  const echo = createServer(({ headers }, answer) => {
    seen.push(headers.authorization);
    answer.writeHead(500).end(headers.authorization);
  });
  const url = `http://${await serve(echo)}`;
  let round = 0;
  const secret = async (): Promise<string> => `open-barley-${++round}`;
  const byPassword = registryAt(url, { password: secret });
  const byToken = registryAt(url, { username: undefined, password: undefined, token: secret });
  for (const registry of [byPassword, byPassword, byToken]) {
    const error = await errorOf(registry.register('s', {}));
    expect(error).toMatchObject({ code: 'RegistryUnavailable' });
    expect(JSON.stringify([error.message, error.details])).not.toMatch(/barley|b3Blbi1|Om9wZW4t/);
  }
  const expected = seen.map((sent, i) => {
    const text = `open-barley-${i + 1}`;
    return sent?.startsWith('Bearer') ? `Bearer ${text}` : `Basic ${Buffer.from(`u:${text}`).toString('base64')}`;
  });
  expect(seen).toEqual(expected); // another one each time
  expect(seen.at(-1)).toMatch(/^Bearer/);
  const failing = (): never => {
    throw new Error('the vault is sealed');
  };
  for (const [password, words] of [
    [failing, /the vault is sealed/],
    [() => '', /an empty text/],
  ] as const) {
    const error = await errorOf(registryAt(url, { password }).register('s', {}));
    expect(error).toMatchObject({ code: 'RegistryUnavailable', message: expect.stringMatching(words) });
  }
  expect(seen).toHaveLength(round);
});

test.each([
  [{ token: 't' }, /keep one of the two/],
  [{ username: undefined, password: undefined, token: 'a b' }, /one word/],
  [{ username: undefined }, /belongs to the password/],
])('credentials that contradict each other are refused: %j', (more, words) => {
  expect(() => registryAt('http://127.0.0.1:1', more)).toThrow(words);
});
