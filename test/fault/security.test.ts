import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { npmAudit } from './npm-audit.ts';
import { security } from './security.ts';

test('what attackers write is carried or refused by name, and secrets stay secret', async () => {
  const run = await runFamily(security, 1, { offline: 1 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThanOrEqual(90);
}, 180_000);

test('the audit names what the registry knows, and fails without an answer', async () => {
  const ask = async (answer: RequestListener): Promise<string[]> => {
    const server = createServer((request, response) => request.resume().on('end', () => answer(request, response)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      return await npmAudit({ npm_config_registry: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };
  const advisory = { id: 1, title: 'a hole', url: 'https://example.org/1', severity: 'low', vulnerable_versions: '*' };
  const bulk = { pg: [{ ...advisory, cwe: [], cvss: { score: 0, vectorString: null } }] };
  const known = await ask((request, response) => {
    if (request.method === 'POST') response.end(JSON.stringify(bulk));
    else response.writeHead(404).end('{}');
  });
  expect(known).toContain('pg (low)');
  expect(await ask((_request, response) => response.end('{}'))).toEqual([]);
  await expect(ask((_request, response) => response.writeHead(405).end())).rejects.toThrow('gives no answer (405');
  await expect(ask((_request, response) => response.end('<html>'))).rejects.toThrow('gives no answer');
}, 60_000);
