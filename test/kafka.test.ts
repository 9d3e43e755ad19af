import { expect, test } from 'vitest';
import { sharedKafka, sharedRegistry } from './brokers.ts';

test('the run’s broker and registry are there, and the same ones for whoever asks', async () => {
  const kafka = await sharedKafka();
  expect(kafka).toMatch(/:\d+$/);
  expect(await sharedKafka()).toBe(kafka);
  const subjects = await fetch(`${await sharedRegistry()}/subjects`);
  expect(await subjects.json()).toBeInstanceOf(Array);
});
