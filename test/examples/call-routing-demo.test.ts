// The demo as a user starts it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const demo = fileURLToPath(new URL('../../examples/call-routing/demo.ts', import.meta.url));

async function run(...words: string[]): Promise<{ code: number | null; output: string; errors: string }> {
  const child = spawn(process.execPath, ['--conditions=trunkline-source', demo, ...words]);
  const collect = (stream: NodeJS.ReadableStream): (() => string) => {
    let text = '';
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    return () => text;
  };
  const [output, errors] = [collect(child.stdout), collect(child.stderr)];
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: output(), errors: errors() };
}

describe('npm run demo', () => {
  test('routes, kills, restarts, and loses nothing', { timeout: 120_000 }, async () => {
    const { code, output, errors } = await run('--calls', '300', '--rate', '200');
    expect({ code, errors }, output).toEqual({ code: 0, errors: '' });
    for (const line of ['completed', '486 busy', 'CallRouted', 'AccountSuspended', 'INVITE in → INVITE out']) {
      expect(output).toContain(line);
    }
    expect(output).toContain('✓ acknowledged events that are there');
    expect(output).toMatch(/back office, caught up after .*audit trail, entries .*✓ call records, numbered/s);
    expect(output).toContain('nothing is lost');
    // Not a terminal: no moving line.
    expect(output).not.toContain('\r');
  });

  test('publishes to a broker, where a consumer finds every event once', { timeout: 120_000 }, async () => {
    const { code, output } = await run('--calls', '100', '--rate', '200', '--kafka');
    expect(code, output).toBe(0);
    expect(output).toContain('✓ events in Kafka, once, in order');
  });

  test('says what is wrong with its arguments', async () => {
    const { code, errors } = await run('--listen', '5060');
    expect(code).toBe(2);
    expect(errors).toContain('usage: npm run demo');
  });
});
