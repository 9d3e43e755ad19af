// The router between SIPp as caller and SIPp as callee: a real SIP implementation that shares nothing with it.
// 900 calls; 3,000 if TRUNKLINE_LONG is set.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRuntime } from 'trunkline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Account } from '../../examples/call-routing/domain/account.ts';
import { Bid } from '../../examples/call-routing/domain/bid.ts';
import { Call } from '../../examples/call-routing/domain/call.ts';
import { sipp } from '../services.ts';

const calls = process.env.TRUNKLINE_LONG ? 3_000 : 900;
const callsPerSecond = 300;
const demo = fileURLToPath(new URL('../../examples/call-routing/demo.ts', import.meta.url));

let folder: string;
const processes: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sipp-test-'));
});

afterEach(async () => {
  for (const child of processes.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Free UDP ports, all different. */
async function freePorts(howMany: number): Promise<number[]> {
  const sockets = Array.from({ length: howMany }, () => createSocket('udp4'));
  await Promise.all(
    sockets.map((socket) => {
      const listening = once(socket, 'listening');
      socket.bind(0, '127.0.0.1');
      return listening;
    }),
  );
  const ports = sockets.map((socket) => socket.address().port);
  await Promise.all(sockets.map((socket) => once(socket.close(), 'close')));
  return ports;
}

function startSipp(name: 'caller' | 'callee', ...words: string[]): ChildProcess {
  const scenario = fileURLToPath(new URL(`./sipp-${name}.xml`, import.meta.url));
  const files = ['-sf', scenario, '-trace_err', '-error_file', join(folder, `${name}.errors`)];
  const child = spawn('sipp', ['-i', '127.0.0.1', '-nostdin', ...files, ...words], {
    cwd: folder,
    stdio: 'ignore',
  });
  processes.push(child);
  return child;
}

async function errors(): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.errors'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.join('\n').slice(0, 2_000);
}

describe.skipIf(!sipp.isPresent())(`SIPp (missing? ${sipp.how})`, () => {
  test(`${calls} calls, ${callsPerSecond} a second: none fails, each leaves its four events`, {
    timeout: 120_000,
  }, async () => {
    const [calleePort, calleeMedia, callerPort, callerMedia] = (await freePorts(4)).map(String) as [
      string,
      string,
      string,
      string,
    ];
    const dataDir = join(folder, 'data');
    const callee = startSipp('callee', '-p', calleePort, '-mp', calleeMedia);
    const serving = spawn(
      process.execPath,
      ['--conditions=trunkline-source', demo, '--listen', '0', '--trunk', `127.0.0.1:${calleePort}`, '--data', dataDir],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    processes.push(serving);
    let summary = '';
    const output = createInterface({ input: serving.stdout! });
    const port = await new Promise<string>((resolve) => {
      output.on('line', (line) => {
        summary += `${line}\n`;
        const port = /routing on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port) resolve(port);
      });
    });

    const load = ['-r', String(callsPerSecond), '-m', String(calls), '-timeout', '90s', '-timeout_error'];
    const number = ['-s', '442071838750'];
    const caller = startSipp('caller', `127.0.0.1:${port}`, '-p', callerPort, '-mp', callerMedia, ...number, ...load);
    const [code] = (await once(caller, 'exit')) as [number | null];
    expect(code, await errors()).toBe(0);

    const stopped = once(serving, 'exit');
    const closed = once(output, 'close');
    serving.kill('SIGINT');
    expect(await stopped).toEqual([0, null]);
    await closed;
    expect(summary).toContain('CallCompleted');
    callee.kill('SIGKILL');

    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Call, Bid, Account] });
    const types = new Map<string, string[]>();
    for await (const event of runtime.events({ aggregate: Call })) {
      types.set(event.aggregateId, [...(types.get(event.aggregateId) ?? []), event.type]);
    }
    expect(types.size).toBe(calls);
    const sequences = new Set([...types.values()].map((sequence) => sequence.join(' ')));
    expect([...sequences]).toEqual(['CallCreated CallRouted CallAnswered CallCompleted']);
  });
});
