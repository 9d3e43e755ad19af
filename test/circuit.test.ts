// The circuit breaker, and what goes by it: pauses are durations, whatever the date says.
import './leap.ts';

import { expect, onTestFinished, test } from 'vitest';
import { guard } from '../src/adapters/postgres/session/guard.ts';
import { Circuit } from '../src/base/circuit.ts';
import { TrunklineError } from '../src/base/errors.ts';
import { Breaker } from '../src/subscriptions/breaker.ts';
import { leapTo, pass } from './leap.ts';

const hourMs = 3_600_000;
const never = new AbortController().signal;

test('opens after failures in a row, lets one through after its pause, which decides', () => {
  const circuit = new Circuit(2, 500);
  for (const hasFailed of [true, false, true]) circuit.ended(hasFailed);
  expect(circuit.state).toBe('closed');
  circuit.ended(true);
  expect([circuit.state, circuit.probe()]).toEqual(['open', false]);
  circuit.ended(false); // began while it was closed: decides nothing
  expect([circuit.state, circuit.probe()]).toEqual(['open', false]);
  pass(500);
  expect([circuit.probe(), circuit.probe(), circuit.state]).toEqual([true, false, 'probing']);
  circuit.decide(true);
  expect([circuit.state, circuit.probe()]).toEqual(['open', false]);
  pass(500);
  expect(circuit.probe()).toBe(true);
  circuit.decide(false);
  circuit.ended(true);
  expect(circuit.state).toBe('closed');
});

test('a date that is set back keeps no reader from the store', async () => {
  onTestFinished(() => leapTo(0));
  const read = guard('trunkline');
  const away = () => read(() => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })));
  for (let i = 0; i < 3; i++) await expect(away()).rejects.toThrow(TrunklineError);
  await expect(read(async () => 'there')).rejects.toThrow(/it has not answered lately/);
  leapTo(-hourMs);
  pass(1_000);
  let answer = (_: string): void => {};
  const probe = read(() => new Promise<string>((resolve) => (answer = resolve)));
  const behind = read(async () => 'behind it');
  answer('there');
  expect(await Promise.all([probe, behind])).toEqual(['there', 'behind it']);
});

test('an attempt that began before the circuit opened, and goes well, keeps nobody waiting', async () => {
  const breaker = new Breaker({ failures: 2, pauseMs: 1 });
  onTestFinished(() => breaker.close());
  breaker.failed();
  breaker.failed();
  breaker.succeeded(); // of a third that was under way
  expect([breaker.isOpen, breaker.isQuiet]).toEqual([true, false]);
  const [first, second] = [breaker.pass(never), breaker.pass(never)];
  expect(await first).toBe(true);
  breaker.succeeded();
  expect(await second).toBe(true);
  expect([breaker.isOpen, breaker.isQuiet]).toEqual([false, true]);
});

test('an attempt that was let through, and is not made, lets another decide; who gives up waits no longer', async () => {
  const breaker = new Breaker({ failures: 1, pauseMs: 1 });
  onTestFinished(() => breaker.close());
  breaker.failed();
  const givesUp = new AbortController();
  const [first, second, third] = [breaker.pass(never), breaker.pass(givesUp.signal), breaker.pass(never)];
  expect(await first).toBe(true);
  givesUp.abort();
  expect(await second).toBe(false);
  breaker.skipped();
  expect(breaker.isOpen).toBe(true);
  expect(await third).toBe(true);
  breaker.succeeded();
  expect([breaker.isOpen, breaker.isQuiet]).toEqual([false, true]);
});
