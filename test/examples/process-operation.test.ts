// The example runs as it is, against a real server, and does what it says.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { freshDatabase } from '../postgres.ts';
import { scratchFolder } from '../runtime/scratch.ts';

const main = fileURLToPath(new URL('../../examples/process-operation/main.ts', import.meta.url));

test('entity, events, handlers before commit, and an event from SQL', async () => {
  const env = { ...process.env, TRUNKLINE_POSTGRES: await freshDatabase() };
  const words = ['--conditions=trunkline-source', main, scratchFolder()];
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { env, encoding: 'utf8', timeout: 50_000 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const { heard, ...rest } = JSON.parse(stdout);
  expect(rest).toEqual({ refused: 'above the limit', balance: 150 });
  expect(heard.filter((each: string) => each.startsWith('Balance'))).toEqual(['BalanceUpdated 1', 'BalanceUpdated 2']);
  expect(heard).toContain('InvoiceGenerated 1');
});
