// One broker and one registry for a whole test run, started when the first test asks. The run's own process holds them
// (vitest calls it global setup) and answers where they are on a loopback port; test files ask by `sharedKafka()` and
// `sharedRegistry()`.
import { createServer } from 'node:http';
import { Kafka } from './kafka.ts';
import { Registry } from './registry.ts';

const variable = 'TRUNKLINE_BROKERS_PORT';

/** Global setup. */
export async function setup(): Promise<() => Promise<void>> {
  let kafka: Promise<Kafka> | undefined;
  let registry: Promise<Registry> | undefined;
  const where: Record<string, () => Promise<string>> = {
    '/kafka': async () => process.env.TRUNKLINE_TEST_KAFKA ?? (await (kafka ??= Kafka.start())).address,
    '/registry': async () => process.env.TRUNKLINE_TEST_REGISTRY ?? (await (registry ??= Registry.start())).url,
  };
  const server = createServer((request, response) => {
    where[request.url!]!().then(
      (address) => response.end(address),
      (error: Error) => response.writeHead(500).end(error.message),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env[variable] = String((server.address() as { port: number }).port);
  return async () => {
    server.closeAllConnections();
    server.close();
    await Promise.all([kafka?.then((one) => one.stop()), registry?.then((one) => one.stop())]);
  };
}

async function ask(what: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${process.env[variable]}/${what}`);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

/** host:port of the broker that this run's tests share: use topics of your own. */
export const sharedKafka = (): Promise<string> => ask('kafka');

/** URL of the registry that this run's tests share: use subjects of your own. */
export const sharedRegistry = (): Promise<string> => ask('registry');
