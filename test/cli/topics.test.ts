import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { sharedKafka } from '../brokers.ts';
import { clients } from '../stream/setup.ts';

const command = new URL('./topics-command.ts', import.meta.url).pathname;
const config = new URL('./topics-config.ts', import.meta.url).pathname;

test.each(clients)('%s: topics are planned, and changed only by apply', async (client) => {
  const prefix = `t-${randomUUID()}`;
  const broker = await sharedKafka();
  const run = async (verb: string, partitions: number): Promise<string[]> => {
    const env = {
      ...process.env,
      TOPICS_BROKER: broker,
      TOPICS_PREFIX: prefix,
      TOPICS_PARTITIONS: String(partitions),
      TOPICS_CLIENT: client,
    };
    const words = ['--conditions=trunkline-source', '--no-warnings', command, 'topics', verb, '--config', config];
    const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    return (await text(child.stdout)).trim().split('\n');
  };
  const missing = `${prefix}.counter: is missing, wanted with 2 partitions`;
  expect(await run('plan', 2)).toContain(missing);
  expect(await run('apply', 2)).toContain(`${missing}: done`);
  expect(await run('plan', 2)).toEqual(['nothing differs']);
  const drift = [`${prefix}.counter: partitions 2, wanted 4`, `${prefix}.counter: retention.ms 2000, wanted 4000`];
  expect(await run('plan', 4)).toEqual(drift);
  expect(await run('apply', 4)).toEqual(drift.map((line) => `${line}: done`));
  expect(await run('plan', 4)).toEqual(['nothing differs']);
  const fewer = `${prefix}.counter: partitions 4, wanted 1: Kafka takes no partitions away`;
  expect(await run('plan', 1)).toContain(fewer);
});
