// Undelivered messages by the command line: without a service, and of one that runs.
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Runtime } from '../../src/index.ts';
import { Courier } from '../runtime/courier.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

async function trunkline(...words: string[]): Promise<{ code: number; text: string }> {
  const run = promisify(execFile)(process.execPath, ['--no-warnings', program, 'dead-letters', ...words]);
  return run.then(
    ({ stdout }) => ({ code: 0, text: stdout.trim() }),
    ({ code, stderr }) => ({ code, text: stderr.trim() }),
  );
}

test('undelivered messages are listed, requeued and discarded, with and without a service', async () => {
  const dataDir = scratchFolder();
  const file = `${dataDir}-fails`;
  writeFileSync(file, '');
  const messages = { retry: { attempts: 1 } };
  const start = (): Promise<Runtime> => startRuntime({ dataDir, aggregates: [Courier], logger: false, messages });
  const runtime = await start();
  await runtime.ref(Courier, 'from').send('to', ['a', 'b'], 'takeUnless', file);
  await until(
    () => runtime.status().messageDeadLetters,
    (count) => count === 2,
  );
  const of = ['--data-dir', dataDir];
  const [a, b] = (await runtime.deadLetters.messages.list()).map(({ id }) => id);
  const { text } = await trunkline('messages', 'list', ...of);
  expect(text).toMatch(
    new RegExp(`^${a}  courier/from → courier/to.takeUnless  failed  1 attempts .*\n${b} .* behind`),
  );
  expect(text).toMatch(/2 undelivered messages$/);
  expect((await trunkline('list', ...of)).text).toMatch(/^0 dead letters\n2 undelivered messages, see: /);
  // The service that runs does it.
  // A condition beside a name would be passed over.
  expect((await trunkline('messages', 'discard', a!, '--aggregate', 'other', ...of)).code).toBe(2);
  expect(await trunkline('messages', 'discard', a!, ...of)).toEqual({ code: 0, text: `${a}  discarded` });
  await until(
    () => runtime.deadLetters.messages.show(b!),
    ({ reason }) => reason === 'failed',
  );
  await runtime.close();
  // Nobody runs it: noted, and carried out by the next start.
  expect((await trunkline('messages', 'discard', ...of)).code).toBe(2);
  expect((await trunkline('messages', 'requeue', '--aggregate', '', ...of)).code).toBe(2);
  expect((await trunkline('messages', 'requeue', 'nobody', ...of)).code).toBe(1);
  rmSync(file);
  expect((await trunkline('messages', 'requeue', '--command', 'takeUnless', ...of)).text).toBe(`${b}  requeued`);
  const second = await start();
  await until(
    () => second.status().messageDeadLetters,
    (count) => count === 0,
  );
  expect((await second.ref(Courier, 'to').taken()).value).toEqual(['b']);
});
